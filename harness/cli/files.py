"""Verbs on files: validate, report, schema."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.exits import print_json, verb
from harness.report.console import announce, make_console
from harness.scenario.shipped import find_scenario


def add_to(app: typer.Typer) -> None:
    app.command("validate", short_help="Check a scenario without starting anything.")(validate)
    app.command("report", short_help="Write the report of a finished run again.")(report)
    app.command("schema", short_help="Print the JSON Schema of a scenario file.")(schema)


@verb
def validate(
    scenario: options.Scenario, seed: options.Seed = None, set_: options.Set = None, json: options.Json = False
) -> None:
    """Example: harness validate scenarios/black-thursday.yaml

    Check a scenario and show what it would do, without starting anything.
    """
    from harness.scenario.planning import plan_from_file

    plan = plan_from_file(find_scenario(scenario), seed=seed, overrides=set_ or ())
    if json:
        print_json({
            "scenario": plan.scenario,
            "seed": plan.seed,
            "roles": [role.name for role in plan.roles],
            "products": [product.id for product in plan.products],
            "operations": sum(len(script) for _, script in plan.operations),
            "faults": [{"id": fault.id, "kind": fault.kind, "text": fault.text} for fault in plan.faults],
            "storm_s": plan.storm_ns / 1e9,
            "liveness_s": plan.liveness_ns / 1e9,
        })  # fmt: skip
        return
    console = make_console(sys.stdout)
    announce(console, plan, runtime=None)
    console.print("valid")


@verb
def report(run: options.Run, json: options.Json = False) -> None:
    """Example: harness report runs/latest

    Write report.html and junit.xml of a finished run again, from its recorded history.
    """
    from harness.report.folder import rewrite_report

    page = rewrite_report(run)
    if json:
        print_json({"report": str(page)})
    else:
        print(page)


@verb
def schema(
    project: Annotated[bool, typer.Option("--project", help="Of a project file (harness.yaml) instead.")] = False,
) -> None:
    """Example: harness schema > scenario.schema.json

    Print the JSON Schema of a scenario file, for editors.
    """
    from harness.project.schema import Project
    from harness.scenario.schema import json_schema

    if project:
        described = Project.model_json_schema(by_alias=True, mode="validation")
        print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **described})
    else:
        print_json(json_schema())
