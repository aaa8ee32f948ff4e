"""The import table of the design, held against the source itself."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import scorespan

PACKAGE = Path(scorespan.__file__).parent
MOST_LINES = 400

FLOOR = {
    "attributes",
    "bodies",
    "endpoint",
    "errors",
    "failure",
    "otlp",
    "producer",
    "provider",
    "record",
    "setting_values",
    "settings",
    "telemetry",
    "threads",
    "transport",
}

# What each part may import of scorespan, beside the floor. Parts nearer the ground come first.
ALLOWED: dict[str, set[str]] = {
    **{name: set() for name in FLOOR},
    "testing": set(),
    "scoring": set(),
    "decorator": {"scoring"},
    "instrumentation": {"instrumentation", "scoring"},
    "instrumentation.instrumentor": {"instrumentation", "startup"},
    "startup": {"instrumentation", "sdk"},
    "dialects": {"dialects"},
    "conversion.span": set(),
    "conversion.attribute_values": {"conversion.span"},
    "conversion.numbered": {"conversion.span"},
    "conversion.sdk": {"conversion.attribute_values", "conversion.span"},
    "conversion.otlp_wire": set(),
    "conversion.otlp_members": {"conversion.otlp_reading"},
    "conversion.otlp_reading": {"conversion.attribute_values", "conversion.span"},
    "conversion.otlp_attributes": {
        "conversion.attribute_values", "conversion.otlp_reading", "conversion.otlp_wire",
        "conversion.span",
    },
    "conversion.json_text": {"conversion.otlp_reading"},
    "conversion.otlp_json": {
        "conversion.attribute_values", "conversion.json_text", "conversion.otlp_members",
        "conversion.otlp_reading", "conversion.span",
    },
    "conversion.otlp_protobuf": {
        "conversion.attribute_values", "conversion.otlp_attributes", "conversion.otlp_reading",
        "conversion.otlp_wire", "conversion.span",
    },
    "conversion.otlp": {
        "conversion.otlp_json", "conversion.otlp_protobuf", "conversion.otlp_reading",
    },
    "conversion.native": {"conversion.span"},
    "conversion.reading": {"conversion.native", "conversion.span", "dialects"},
    "conversion.extras": {"conversion.span", "dialects"},
    "conversion.convert": {
        "conversion.extras", "conversion.reading", "conversion.span", "dialects",
    },
    "conversion": set(),
    "spool": {"spool"},
    "delivery": {"conversion.convert", "conversion.span", "delivery", "spool"},
    "intake": {"conversion.numbered", "conversion.span", "delivery", "spool"},
    "reconcile": {"conversion.span", "delivery", "reconcile", "spool"},
    "letters": {"spool"},
    "requeue": {"conversion.span", "delivery", "spool"},
    "limits": set(),
    "dependencies": {"conversion.span"},
    "outbox": set(),
    "sdk": {"conversion.sdk", "dependencies", "intake", "limits", "outbox"},
    "receiver": {"conversion.otlp", "intake", "receiver"},
    "openscale": {"delivery.auth", "intake", "openscale"},
    "mart": {"dialects", "mart"},
    "": {"decorator", "scoring", "sdk"},
    "demo": {"", "delivery", "demo"},
    "cli": {"", "cli", "conversion.span", "delivery", "demo", "intake", "letters", "mart",
            "openscale", "receiver", "reconcile", "requeue", "spool", "startup"},
}  # fmt: skip

# Of the floor, the data mart shares only what stands on the wire.
MART_FLOOR = {"endpoint", "errors", "record", "transport"}

# Where a package of others may be imported.
FENCES: dict[str, set[str]] = {
    "opentelemetry.sdk": {"conversion.sdk", "outbox", "sdk"},
    "opentelemetry.exporter": {"outbox"},
    "opentelemetry.proto": {"conversion", "receiver"},
    "opentelemetry": {
        "conversion.sdk", "delivery", "dependencies", "instrumentation", "limits", "outbox",
        "provider", "receiver", "scoring", "sdk",
    },
    "google": {"conversion.otlp_protobuf", "conversion.otlp_wire", "receiver"},
    "grpc": {"receiver"},
    "requests": {"delivery", "openscale"},
    "urllib3": {"delivery"},  # its errors and socket options; requests brings it
    "fastapi": {"mart", "receiver"},
    "starlette": {"mart", "receiver"},
    "httptools": {"receiver"},
    "uvicorn": {"cli.demo", "mart", "receiver"},  # the demo asks whether it is there
    "sqlalchemy": {"mart"},
    "alembic": {"mart"},
    "sqlite3": {"mart"},
    "psycopg": {"mart"},
    "jwt": {"mart"},
    "cryptography": {"mart"},
    "msgspec": {"mart"},
    "zstandard": {"receiver"},
    "click": {"cli"},
    "rich": {"cli"},
    "sklearn": {"cli.demo", "demo"},
    "orjson": {
        "bodies", "conversion", "delivery", "dialects", "mart", "openscale", "receiver", "record",
        "reconcile", "spool", "testing",
    },
}  # fmt: skip


def name_of(path: Path) -> str:
    """A module's name within scorespan; the package's own is empty."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


SOURCES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name: str) -> set[str]:
    """Full names of the modules that a module imports, wherever it does so."""
    tree = ast.parse(SOURCES[name].read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            base = str(node.module)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                is_module = inner.removeprefix("scorespan.") in SOURCES
                is_part = base == "opentelemetry"  # a namespace: its members are packages
                found.add(inner if is_module or is_part else base)
    return found


def within(name: str, parts: set[str]) -> bool:
    """Whether a module is one of these parts, or inside one."""
    return any(name == part or (part and name.startswith(f"{part}.")) for part in parts)


def row_of(name: str) -> str:
    """The row of the table that a module goes by."""
    rows = [row for row in ALLOWED if within(name, {row})]
    assert rows, f"{name} has no row in the import table"
    return max(rows, key=len)


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_imports_only_what_lies_below_it(name):
    """Imports go downwards, along the rows of the table."""
    row = row_of(name)
    allowed = ALLOWED[row] | (MART_FLOOR if row == "mart" else FLOOR)
    ours = {found for found in imported(name) if found.split(".")[0] == "scorespan"}
    below = {found.removeprefix("scorespan").removeprefix(".") for found in ours}
    assert {found for found in below if not within(found, allowed)} == set()


@pytest.mark.parametrize("name", SOURCES)
def test_a_package_of_others_stays_behind_its_fence(name):
    """The SDK, the HTTP client, the web framework and the drivers are each in one place."""
    for found in imported(name):
        top = found.split(".")[0]
        if top == "scorespan" or (top in sys.stdlib_module_names and top not in FENCES):
            continue
        fences = [fence for fence in FENCES if within(found, {fence})]
        assert fences, f"{name} imports {found}, which has no fence"
        assert within(name, FENCES[max(fences, key=len)]), f"{name} imports {found}"


def test_the_two_sides_never_meet():
    """The data mart and the sending side know nothing of each other."""
    mart = {name for name in SOURCES if within(name, {"mart"})}
    sending = {
        name
        for name in SOURCES
        if within(name, {"conversion", "delivery", "intake", "sdk", "spool", "scoring"})
    }
    for name in mart:
        assert not imported(name) & {f"scorespan.{other}" for other in sending}
    for name in sending:
        assert not imported(name) & {f"scorespan.{other}" for other in mart}


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_has_one_noun(name):
    """A module that grows past the bound holds a second noun."""
    assert len(SOURCES[name].read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_says_what_it_is(name):
    """The first line of a module names its noun."""
    assert ast.get_docstring(ast.parse(SOURCES[name].read_text()))


@pytest.mark.parametrize("name", scorespan.__all__)
def test_every_public_name_is_there(name):
    """Each name that the package offers can be had, and says what it is."""
    value = getattr(scorespan, name)
    assert isinstance(value, str) or value.__doc__


@pytest.mark.parametrize("name", scorespan.__all__)
def test_a_public_name_is_looked_for_once(name):
    """The next scoring finds it where every module has its names."""
    assert getattr(scorespan, name) is vars(scorespan)[name]


def test_the_public_names_are_the_agreed_ones():
    """Adding or removing a public name is a decision, written down here."""
    assert scorespan.__all__ == [
        "PayloadRecord",
        "PayloadSpanExporter",
        "ScorespanError",
        "Scoring",
        "ScoringSpanProcessor",
        "SettingsError",
        "__version__",
        "configure",
        "flush",
        "scored",
        "scoring_span",
        "shutdown",
    ]


def test_a_name_that_is_not_there_says_so():
    """A mistyped name is an AttributeError as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'configur'"):
        scorespan.configur  # noqa: B018 - reading it is the test


def test_importing_scorespan_loads_neither_sdk_nor_sender():
    """The package is light: what delivers is loaded by `configure`."""
    code = (
        "import sys, scorespan; scorespan.scored\n"
        "heavy = ('scorespan.sdk', 'scorespan.intake', 'opentelemetry.sdk', 'requests', 'orjson')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_scorespan_loads_nothing_of_opentelemetry():
    """The start-up file imports the package in every process: that must cost next to nothing."""
    code = (
        "import sys, scorespan\n"
        "print([name for name in sys.modules if name.partition('.')[0] == 'opentelemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_module_can_be_imported_first():
    """No module of the floor leans on another having been imported before it."""
    for name in sorted(FLOOR | {"scoring", "decorator"}):
        subprocess.run([sys.executable, "-c", f"import scorespan.{name}"], check=True)
    assert importlib.import_module("scorespan") is scorespan
