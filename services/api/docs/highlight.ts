import bash from 'refractor/bash';
import { refractor } from 'refractor/core';
import http from 'refractor/http';
import java from 'refractor/java';
import json from 'refractor/json';
import python from 'refractor/python';
import typescript from 'refractor/typescript';
import { flag, type Html, html } from '../pages/html.ts';
import { literalOf } from './literal.ts';

for (const language of [bash, http, java, json, python, typescript]) refractor.register(language);

const NAMES: Readonly<Record<string, string>> = {
  bash: 'Shell',
  sh: 'Shell',
  http: 'HTTP',
  java: 'Java',
  json: 'JSON',
  python: 'Python',
  typescript: 'TypeScript',
  ts: 'TypeScript',
};

/** Other names that READMEs use for a language. */
const ALIASES: Readonly<Record<string, string>> = { sh: 'bash', ts: 'typescript' };

/** Code with its syntax marked by classes; a language that is not known stays plain. */
function highlighted(code: string, name: string): Html {
  const language = ALIASES[name] ?? name;
  if (!refractor.registered(language)) return html`<code>${code}</code>`;
  return html`<code>${refractor.highlight(code, language).children.map((node) => nodeHtml(node))}</code>`;
}

type Node = ReturnType<typeof refractor.highlight>['children'][number];

function nodeHtml(node: Node, around?: string): Html {
  if (node.type === 'text') return html`${node.value}`;
  if (node.type !== 'element') return html``;
  const classes = (node.properties.className as readonly string[] | undefined) ?? [];
  const mark = SHOWN.get(classes.find((name) => SHOWN.has(name)) ?? '');
  const children = node.children.map((child) => nodeHtml(child, mark ?? around));
  // Most tokens, such as punctuation, are shown as text: without marks for them a page is a third smaller.
  return mark === undefined || mark === around ? html`${children}` : html`<i class="${mark}">${children}</i>`;
}

/** The kinds of tokens that have a colour, and their class. */
const SHOWN: ReadonlyMap<string, string> = new Map([
  ['property', 'c-name'],
  ['attr-name', 'c-name'],
  ['variable', 'c-name'],
  ['environment', 'c-name'],
  ['header-name', 'c-name'],
  ['string', 'c-text'],
  ['template-string', 'c-text'],
  ['number', 'c-value'],
  ['boolean', 'c-value'],
  ['null', 'c-value'],
  ['constant', 'c-value'],
  ['keyword', 'c-word'],
  ['decorator', 'c-word'],
  ['function', 'c-call'],
  ['builtin', 'c-call'],
  ['class-name', 'c-call'],
  ['comment', 'c-note'],
]);

/** A block of code with a line above that says what it is. `label` is also its name for a screen reader. */
export function codeBlock(code: string, language: string, label = NAMES[language] ?? 'Text'): Html {
  return html`<div class="code" data-copy><div class="code-head"><span>${label}</span></div>
<pre tabindex="0" role="group" aria-label="${label}">${highlighted(code, language)}</pre></div>`;
}

export function jsonBlock(value: unknown, label: string): Html {
  return codeBlock(literalOf(value), 'json', label);
}

export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly language: string;
  readonly code: string;
}

/** The same in several languages, one of them shown. `group` is unique on the page. */
export function codeTabs(tabs: readonly Tab[], { group, label }: { group: string; label: string }): Html {
  const idOf = ({ id }: Tab) => `${group}-${id}`;
  return html`<div class="code tabs" data-copy role="group" aria-label="${label}">
${tabs.map(
  (tab, index) =>
    html`<input type="radio" name="${group}" id="${idOf(tab)}" value="${tab.id}"${flag('checked', index === 0)}>`,
)}
<div class="code-head">${tabs.map((tab) => html`<label for="${idOf(tab)}">${tab.label}</label>`)}</div>
${tabs.map(
  (tab) =>
    html`<div class="panel"><pre tabindex="0" role="group" aria-label="${`${label}: ${tab.label}`}">${highlighted(tab.code, tab.language)}</pre></div>`,
)}</div>`;
}
