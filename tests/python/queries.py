"""Every query of the alerts and the dashboard is PromQL. Needs promql-parser and PyYAML; the names in the queries are checked by tests/operations."""

import json
import pathlib
import sys

import promql_parser
import yaml

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"


def queries():
    """Where each query stands, and the query with Grafana's own variables filled in."""
    rules = yaml.safe_load((DEPLOY / "prometheus/selfsame.rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((DEPLOY / "grafana/selfsame.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h")


read, broken = 0, 0
for where, query in queries():
    read += 1
    try:
        promql_parser.parse(query)
    except ValueError as problem:
        broken += 1
        print(f"{where}: {query}\n  {problem}", file=sys.stderr)
print(f"{read} queries, {broken} broken")
sys.exit(1 if broken or read < 50 else 0)
