{{- define "tandem.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "tandem.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "tandem.name" .) }}
{{- end }}

{{- define "tandem.labels" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "tandem.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "tandem.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tandem.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "tandem.settings" -}}
{{- if .Values.migrations.job }}
CONTROL_MIGRATIONS: check
{{- end }}
{{- if .Values.topics.job }}
KAFKA_CREATE_TOPICS: "false"
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "tandem.catalog" -}}
catalog.yaml: {{ required "catalog must hold the catalog: --set-file catalog=catalog.yaml" .Values.catalog | quote }}
{{- end }}

{{/*
Variables of a process: its own, the settings, the Secret, and a Secret on top of it where there is one.
Takes (dict "root" $ "own" <map> "settings" <name of a ConfigMap> "secret" <name of a Secret>).
*/}}
{{- define "tandem.env" -}}
{{- $root := .root -}}
{{- $own := mergeOverwrite (dict "CATALOG" "/etc/tandem/catalog.yaml") .own -}}
{{- if $root.Values.publicUrl }}{{ $_ := set $own "PUBLIC_URL" $root.Values.publicUrl }}{{ end -}}
env:
  {{- range $name, $value := $own }}
  - { name: {{ $name }}, value: {{ $value | quote }} }
  {{- end }}
envFrom:
  - configMapRef: { name: {{ .settings | default (printf "%s-settings" (include "tandem.name" $root)) }} }
  - secretRef: { name: {{ required "existingSecret must name a Secret with DATABASE_URL, CONTROL_DATABASE_URL, ADMIN_KEY and SECRET_KEY" $root.Values.existingSecret }} }
  {{- with .secret }}
  - secretRef: { name: {{ . }} }
  {{- end }}
{{- end }}
