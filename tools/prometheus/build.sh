#!/usr/bin/env bash
# Builds `prometheus` and `promtool` of the version in go.mod, once, and prints the folder that they are in:
# below ${SPANBUDGET_TOOLS}, by default below the user's cache. Needs Go 1.26.7 or later, or 1.21 or later with
# leave to fetch a newer toolchain; a C compiler is not needed.
set -euo pipefail
cd "$(dirname "$0")"

module=github.com/prometheus/prometheus
# Module v0.316.0 is Prometheus 3.16.0.
version=$(sed -nE "s|^require $module v0\.([0-9]+)([0-9]{2})\.([0-9]+)\$|\1.\2.\3|p" go.mod)
[ -n "$version" ] || { echo "go.mod requires no version of $module that this script can read" >&2; exit 1; }

tools=${SPANBUDGET_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/spanbudget/tools}
folder=$tools/prometheus-$version
if [ -x "$folder/prometheus" ] && [ -x "$folder/promtool" ]; then
  echo "$folder"
  exit 0
fi
PATH=$PATH:/usr/local/go/bin # where Go's own archive is unpacked to
command -v go >/dev/null ||
  { echo "there is no Go here; install Go 1.26.7 or later (https://go.dev/dl) and put it on PATH" >&2; exit 1; }

mkdir -p "$tools"
half_done=$(mktemp -d "$tools/.prometheus-$version.XXXXXX")
trap 'rm -rf "$half_done"' EXIT
echo "building Prometheus $version: three minutes on two cores and 1 GB of downloads, once" >&2

# Without most service discoveries and without the web pages: neither is tested, and the first is half of the work.
# Packages are built from the module as it is published; readonly: go.sum says what may be downloaded.
CGO_ENABLED=0 GOWORK=off go build -mod=readonly -trimpath -tags netgo,remove_all_sd \
  -ldflags "-s -w -X github.com/prometheus/common/version.Version=$version" \
  -o "$half_done/" "$module/cmd/prometheus" "$module/cmd/promtool" >&2

# Renamed as a whole, so that nobody sees half of it; where another build was quicker, its result stays.
chmod 755 "$half_done"
mv -T "$half_done" "$folder" 2>/dev/null || [ -x "$folder/promtool" ] ||
  { echo "$folder is in the way: remove it and run this again" >&2; exit 1; }
echo "$folder"
