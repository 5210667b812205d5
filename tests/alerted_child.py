"""A process for tests of alerts: does what it is told on standard input, a word a line, and answers each."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider

import spanbudget
from spanbudget.exporter import instrument as home
from spanbudget.processors import names_out as names

CHILD_SECONDS_MAX = 60
ATTRIBUTES = {
    "gen_ai.system": "openai",
    "gen_ai.operation.name": "chat",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 0,
    "gen_ai.usage.output_tokens": 10_000,
}
"""A call of 10 cents: 10,000 tokens of output at 10 USD per 1M."""


def say(*words: object) -> None:
    """One line, out at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def spend(provider: TracerProvider, calls: int) -> None:
    tracer = provider.get_tracer("opentelemetry.instrumentation.openai")
    for _ in range(calls):
        tracer.start_span("chat", attributes=ATTRIBUTES).end()


def flushed() -> bool:
    pipeline = home.current_pipeline()
    return pipeline is not None and pipeline.flush(CHILD_SECONDS_MAX)


def leads() -> bool:
    """Whether this process evaluates the rules."""
    return any(engine.health()[names.RULES_LEADING.name, ""] for engine in home._process.engines.values())


def spend_in_spawned_child(config: str, calls: int) -> None:
    provider = TracerProvider()
    spanbudget.instrument(config, tracer_provider=provider)
    spend(provider, calls)


def spawned(config: str, calls: int) -> int:
    """Spends in a child of multiprocessing that starts anew; its exit code."""
    child = multiprocessing.get_context("spawn").Process(target=spend_in_spawned_child, args=(config, calls))
    child.start()
    child.join(CHILD_SECONDS_MAX)
    return child.exitcode if child.exitcode is not None else -1


def forked(provider: TracerProvider, calls: int, end: Callable[[], None]) -> int:
    """Spends in a forked child, which `end` ends; its exit code."""
    child = os.fork()
    if child == 0:
        spend(provider, calls)
        ok = flushed()
        end()
        os._exit(0 if ok else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forked_while_busy(provider: TracerProvider, forks: int) -> int:
    """Forks again and again while threads spend; how many children failed."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.01):
            spend(provider, 1)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    failed = sum(forked(provider, 1, home._finish) != 0 for _ in range(forks))
    over.set()
    for thread in threads:
        thread.join()
    return failed


def preforked(provider: TracerProvider, workers: int) -> int:
    """Forks workers that live side by side, as a web server does; how many failed."""
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            spend(provider, 1)
            ok = flushed()
            home._finish()
            os._exit(0 if ok else 1)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


def main(config: str) -> None:
    provider = TracerProvider()
    spanbudget.instrument(config, tracer_provider=provider)
    say("ready")
    for line in sys.stdin:
        word, *numbers = line.split()
        count = int(numbers[0]) if numbers else 0
        if word == "end":
            return
        if word == "spend":
            spend(provider, count)
            say("spent", flushed())
        elif word == "spend-unflushed":
            spend(provider, count)
            return
        elif word == "leads":
            say("leads", leads())
        elif word == "fork":
            say("forked", forked(provider, count, lambda: None))
        elif word == "fork-while-busy":
            say("forked", forked_while_busy(provider, count))
        elif word == "prefork":
            say("forked", preforked(provider, count))
        elif word == "spawn":
            say("spawned", spawned(config, count))


if __name__ == "__main__":
    main(sys.argv[1])
