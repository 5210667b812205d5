// The real Prometheus and promtool that tests compare with; build.sh builds them from here.
module spanbudget.dev/tools/prometheus

go 1.26.7

require github.com/prometheus/prometheus v0.316.0
