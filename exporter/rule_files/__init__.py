"""Prometheus' rule files and promtool's unit-test files: YAML in; groups, tests and problems out."""

from spanbudget.exporter.rule_files.loading import load_rule_files, parse_rule_text

__all__ = ["load_rule_files", "parse_rule_text"]
