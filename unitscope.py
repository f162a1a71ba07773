"""The command line: a table of command to module, imported only when called."""

import os
import sys
from importlib import import_module

from data.units import near_names

COMMANDS: dict[str, tuple[str, str]] = {
    "images": ("stimuli.images_command", "photographs to an image set"),
    "record": ("stimuli.record_command", "a network's activations to a recording"),
    "tasks": ("stimuli.tasks_command", "a recording to 2-AFC tasks"),
    "score": ("mis.score_command", "tasks to machine interpretability scores (MIS)"),
    "sensitivity": ("mis.sensitivity_command", "what scores owe to N, K, tau, seeds …"),
    "features": ("mis.features_command", "stored image features: list, verify, drop"),
    "selfcheck": ("mis.selfcheck_command", "an encoder against published numbers"),
    "sweep": ("stimuli.sweep_command", "many networks, recorded and scored alike"),
    "sweep-report": ("analysis.sweep_command", "what a sweep says, with figures"),
    "select": ("stimuli.select_command", "scores to groups of units for a study"),
    "compile": ("stimuli.compile_command", "tasks to a self-contained study"),
    "check": ("stimuli.check_command", "what is missing, leaking or unbalanced"),
    "serve": ("experiment_server.serve_command", "a study to participants"),
    "simulate": ("experiment_server.simulate_command", "observers through a server"),
    "export": ("experiment_server.export_command", "a study's responses to files"),
    "fetch": ("data.fetch_command", "published answers from their archive"),
    "power": ("analysis.power_command", "units, participants and cost for a precision"),
    "fit": ("mis.fit_command", "the machine observer's tau from people's answers"),
    "validate": ("analysis.validate", "human scores (HIS) against machine scores"),
}


def usage() -> str:
    """Return the help text: one line a command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {help}" for name, (_, help) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unitscope COMMAND [OPTIONS]",
            "",
            "How well can a unit of a vision network be understood?",
            "",
            *lines,
            "",
            "unitscope COMMAND --help tells a command's options.",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 fell short, 2 could not run."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(usage() + "\n")
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"unitscope {version('unitscope')}\n")
        return 0
    if name not in COMMANDS:
        near = near_names(name, COMMANDS)
        sys.stderr.write(f"error: {name!r} is no command. {near}\n")
        return 2
    # Threads that wait must not spin: beside another program on the same cores, torch
    # was eleven times slower for it. It has to stand before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    module, _ = COMMANDS[name]
    return int(import_module(module).main(rest))


if __name__ == "__main__":
    sys.exit(main())
