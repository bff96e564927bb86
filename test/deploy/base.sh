#!/usr/bin/env bash
# Makes an image with the name of the Dockerfile's base, for machines that reach no registry of images: Debian's root, the
# Node of this checkout and the npm of this machine. An image of that name that is here already is taken as it is.
set -euo pipefail
# Without a container runtime, which Debian only recommends beside buildah.
export BUILDAH_ISOLATION=chroot
name=docker.io/library/node:24-bookworm-slim
buildah inspect --type image "$name" >/dev/null 2>&1 && exit 0

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$root/root.tar"
container=$(buildah from scratch)
buildah add --quiet "$container" "$root/root.tar" /
buildah copy --quiet "$container" node_modules/node/bin/node /usr/local/bin/node
buildah copy --quiet "$container" "$(npm root --global)/npm" /usr/local/lib/node_modules/npm
buildah run "$container" -- ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
# What this machine trusts to download packages.
for file in ${NODE_EXTRA_CA_CERTS:-}; do
  buildah copy --quiet "$container" "$file" "$file"
  buildah config --env NODE_EXTRA_CA_CERTS="$file" "$container"
done
buildah commit --quiet --rm "$container" "$name"
