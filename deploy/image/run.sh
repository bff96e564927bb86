#!/bin/sh
# Runs the service that SERVICE names, or the command that the arguments name, such as `migrate status`.
set -eu
cd /app
if [ "$#" -gt 0 ]; then
  exec node -r ./deploy/cli/check-node.cjs deploy/cli/tandem.ts "$@"
fi
# In MB; deploy/local/supervise.ts says why.
semi_space=4
case "${SERVICE:-}" in
  capture) semi_space=16 ;;
  dispatcher) semi_space=16 ;;
  api | extractor | writer | bulk) ;;
  *)
    echo 'tandem: set SERVICE to api, extractor, writer, capture, dispatcher or bulk, or give a command such as "migrate status"' >&2
    exit 2
    ;;
esac
exec node -r ./deploy/cli/check-node.cjs --max-semi-space-size=$semi_space --disable-warning=TimeoutNegativeWarning \
  "services/$SERVICE/main.ts"
