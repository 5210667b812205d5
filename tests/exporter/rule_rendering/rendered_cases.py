"""Budgets with alerts, and what their rules must fire, in promtool's format."""

BUDGETS = r"""
budgets:
  - {name: prod, max_cost: 500, alerts: true}
  - name: "we\"ird\\ né🙂"
    max_cost: 5
    per: [user]
    alerts:
      thresholds: [50, 99.5]
      anomaly: true
      error_rate: true
      latency: {p95_seconds: 30}
      model_cost_share: {model: "gpt-5*"}
      unpriced_share: true
      silence: 30m
  - {name: "a.b", max_cost: 5, alerts: &both {thresholds: [75], silence: {after: 10m, severity: page}}}
  - {name: 'c|d\', max_cost: 5, alerts: *both}
"""
RULE_TEST = r"""
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'llm_budget_peak_ratio{llm_budget_name="prod"}', values: "0.82x5"}
      - {series: 'llm_budget_spent_usd{llm_budget_name="prod"}', values: "410x5"}
      - {series: 'llm_budget_limit_usd{llm_budget_name="prod"}', values: "500x5"}
      - {series: 'llm_budget_peak_ratio{llm_budget_name="we\"ird\\ né🙂", llm_budget_child="user=\"a\""}',
         values: "1x5"}
      - {series: 'llm_budget_spent_usd{llm_budget_name="we\"ird\\ né🙂", llm_budget_child="user=\"a\""}',
         values: "5x5"}
      - {series: 'llm_budget_limit_usd{llm_budget_name="we\"ird\\ né🙂", llm_budget_child="user=\"a\""}',
         values: "5x5"}
      - {series: 'llm_budget_peak_ratio{llm_budget_name="a.b"}', values: "0.75x20"}
      - {series: 'llm_budget_peak_ratio{llm_budget_name="axb"}', values: "0.75x20"}
      - {series: 'llm_budget_peak_ratio{llm_budget_name="c|d\\", llm_budget_child=""}', values: "0.74x20"}
      - {series: 'llm_budget_calls_total{llm_budget_name="a.b"}', values: "1+1x20"}
    alert_rule_test:
      - eval_time: 16m
        alertname: LLMBudgetSilent
        exp_alerts:
          - exp_labels: {severity: page, llm_budget_name: 'c|d\'}
            exp_annotations:
              summary: 'Budget c|d\ has counted no call for 10m'
              description: Either nobody calls, or the calls no longer reach SpanBudget.
          - exp_labels: {severity: warning, llm_budget_name: 'we"ird\ né🙂'}
            exp_annotations:
              summary: 'Budget we"ird\ né🙂 has counted no call for 30m'
              description: Either nobody calls, or the calls no longer reach SpanBudget.
      - eval_time: 2m
        alertname: LLMBudgetThreshold
        exp_alerts:
          - exp_labels: {severity: warning, llm_budget_threshold: "80", llm_budget_name: prod}
            exp_annotations:
              summary: "Budget prod is 82% used: $410.00 of $500.00"
              description: It has reached its threshold of 80 % in this window.
          - exp_labels: {severity: info, llm_budget_threshold: "75", llm_budget_name: a.b}
            exp_annotations:
              summary: "Budget a.b is 75% used"
              description: It has reached its threshold of 75 % in this window.
          - exp_labels:
              {severity: info, llm_budget_threshold: "50",
               llm_budget_name: 'we"ird\ né🙂', llm_budget_child: 'user="a"'}
            exp_annotations:
              summary: 'Budget we"ird\ né🙂 (user="a") is 100% used: $5.00 of $5.00'
              description: It has reached its threshold of 50 % in this window.
          - exp_labels:
              {severity: critical, llm_budget_threshold: "99.5",
               llm_budget_name: 'we"ird\ né🙂', llm_budget_child: 'user="a"'}
            exp_annotations:
              summary: 'Budget we"ird\ né🙂 (user="a") is 100% used: $5.00 of $5.00'
              description: It has reached its threshold of 99.5 % in this window.
"""
