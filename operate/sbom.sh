#!/usr/bin/env bash
# Prints the production packages, whose code is in the build, as CycloneDX. `npm sbom --omit=dev` would not do: it leaves out
# whatever a package for development needs as well, graphql among them.
set -euo pipefail
cd "$(dirname "$0")/.."

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
# npm calls the component as its folder is called.
folder="$temporary/onenet-ota-subgraph"
mkdir "$folder"
cp package.json package-lock.json "$folder"
cd "$folder"
npm pkg delete devDependencies
npm install --package-lock-only --offline --silent >&2
npm sbom --package-lock-only --sbom-format=cyclonedx --sbom-type=application
