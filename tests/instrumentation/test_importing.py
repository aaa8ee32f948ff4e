"""Post-import hooks."""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import pkgutil
import sys
import threading
import zipfile
from importlib.machinery import PathFinder, SourceFileLoader

import pytest

from scorespan.instrumentation.importing import after_import

SOURCE = """
seen = (__spec__.loader, __loader__)
class Server:
    def answer(self):
        return "theirs"
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a name that no other test has, with a module `app` and a file beside it."""
    name = f"watched_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "app.py").write_text(SOURCE)
    (folder / "data.txt").write_text("data")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    yield name
    sys.meta_path[:] = finders
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def calls(package):
    """The modules that the hook of `app` was called with."""
    found: list[object] = []
    after_import(f"{package}.app", found.append)
    return found


def test_the_hook_is_called_with_the_module_once_it_is_executed(package, calls):
    """What the hook is given has all its names, and the importer sees what the hook did."""

    def patch(module):
        module.Server.answer = lambda _: "ours"

    after_import(f"{package}.app", patch)
    assert calls == []
    app = importlib.import_module(f"{package}.app")
    assert calls == [app]
    assert app.Server().answer() == "ours"
    assert importlib.import_module(f"{package}.app") is app
    assert calls == [app]


def test_the_module_finds_its_own_loader_while_it_runs_and_afterwards(package, calls):
    """`__spec__`, its loader and `__loader__` are those that it would have without a hook."""
    app = importlib.import_module(f"{package}.app")
    assert [type(loader) for loader in app.seen] == [SourceFileLoader] * 2
    assert app.__spec__.loader is app.__loader__ is app.seen[0]
    plain = PathFinder.find_spec(app.__name__, sys.modules[package].__path__)
    assert app.__spec__ == plain
    assert (app.__file__, app.__cached__) == (plain.origin, plain.cached)
    assert calls == [app]


def test_a_module_that_was_imported_before_is_given_at_once(package):
    """A process that is instrumented late finds its servers imported."""
    app = importlib.import_module(f"{package}.app")
    found: list[object] = []
    after_import(f"{package}.app", found.append)
    assert found == [app]


def test_a_reload_calls_the_hook_again(package, calls):
    """The classes of a reloaded module are new ones."""
    app = importlib.import_module(f"{package}.app")
    assert importlib.reload(app) is app
    assert calls == [app, app]
    assert type(app.__loader__) is SourceFileLoader


def test_a_module_whose_import_fails_calls_no_hook(package, calls, tmp_path):
    """The error is the module's own; once it can be imported, the hook is called."""
    source = tmp_path / package / "app.py"
    source.write_text("raise LookupError('broken')")
    with pytest.raises(LookupError, match="broken"):
        importlib.import_module(f"{package}.app")
    assert calls == []
    assert f"{package}.app" not in sys.modules
    source.write_text(SOURCE)
    assert calls == [importlib.import_module(f"{package}.app")]


def test_a_module_that_is_not_there_is_missed_as_ever(package):
    """Watching a name makes no module of it."""
    after_import(f"{package}.nothing", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=f"No module named '{package}.nothing'"):
        importlib.import_module(f"{package}.nothing")
    assert importlib.util.find_spec(f"{package}.nothing") is None


def test_an_error_of_a_hook_stays_with_us(package, calls):
    """The import goes on, and so do other hooks; what ends a process is let through."""

    def fail(_):
        raise RuntimeError("ours")

    def end(_):
        raise SystemExit(2)

    after_import(f"{package}.app", fail)
    later: list[object] = []
    after_import(f"{package}.app", later.append)
    app = importlib.import_module(f"{package}.app")
    assert calls == later == [app]
    after_import(f"{package}.last", end)
    (importlib.resources.files(package) / "last.py").write_text("")
    with pytest.raises(SystemExit):
        importlib.import_module(f"{package}.last")


def test_a_package_is_watched_as_a_module_is(package):
    """Its resources and submodules are found through its own loader."""
    found: list[object] = []
    after_import(package, found.append)
    assert pkgutil.get_data(package, "data.txt") == b"data"
    assert found == [sys.modules[package]]
    assert importlib.resources.files(package).joinpath("data.txt").read_text() == "data"
    assert [info.name for info in pkgutil.iter_modules(sys.modules[package].__path__)] == ["app"]


def test_a_spec_that_is_only_asked_for_answers_as_the_real_one(package, calls):
    """`find_spec` imports nothing, and its loader can be asked for the source."""
    spec = importlib.util.find_spec(f"{package}.app")
    assert spec is not None
    assert spec.origin is not None
    assert spec.origin.endswith("app.py")
    assert spec.loader.get_source(f"{package}.app") == SOURCE
    assert spec.loader.is_package(f"{package}.app") is False
    assert calls == []
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert calls == [module]
    assert type(spec.loader) is type(module.__loader__) is SourceFileLoader


def test_a_lazy_module_is_loaded_when_it_is_used_and_not_by_us(package, calls):
    """Looking whether it has been imported must not be its first use."""
    name = f"{package}.app"
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    with pytest.raises(ModuleNotFoundError):  # every import looks for what went by
        importlib.import_module(f"{package}.nothing")
    assert calls == []
    assert module.Server().answer() == "theirs"
    assert calls == [module]


def test_a_module_of_a_zip_file_is_watched(tmp_path, monkeypatch):
    """Its loader is one object for all modules of the file."""
    with zipfile.ZipFile(tmp_path / "served.zip", "w") as archive:
        archive.writestr("zipped_server.py", SOURCE)
        archive.writestr("zipped_other.py", SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "served.zip"))
    found: list[object] = []
    after_import("zipped_server", found.append)
    import zipped_other  # type: ignore[import-not-found]
    import zipped_server  # type: ignore[import-not-found]

    assert found == [zipped_server]
    assert type(zipped_server.__loader__).__name__ == "zipimporter"
    assert zipped_server.__loader__ is zipped_server.__spec__.loader is zipped_server.seen[0]
    assert type(zipped_other.__loader__).__name__ == "zipimporter"


class Asking:
    """A finder of another tool, that asks all finders and wraps the loader it gets."""

    def __init__(self, name):
        self.name = name
        self.executed = 0
        self._asking = False

    def find_spec(self, name, *_):
        """The spec that everybody else gives, its loader wrapped."""
        if name != self.name or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asking = False
        inner, outer = spec.loader, self

        class Loader:
            def create_module(self, spec):
                return inner.create_module(spec)

            def exec_module(self, module):
                module.__spec__.loader = module.__loader__ = inner
                outer.executed += 1
                inner.exec_module(module)

        spec.loader = Loader()
        return spec


@pytest.mark.parametrize("place", ["before", "after"])
def test_another_tool_that_hooks_imports_works_beside_ours(package, calls, place):
    """Whoever comes first, both see the module once, and its loader is its own."""
    other = Asking(f"{package}.app")
    sys.meta_path.insert(0 if place == "before" else 1, other)
    app = importlib.import_module(f"{package}.app")
    assert calls == [app]
    assert other.executed == 1
    assert type(app.__loader__) is SourceFileLoader


def test_a_module_that_a_later_finder_brings_itself_is_seen_with_the_next_import(package, calls):
    """A finder before ours that asks nobody hides the import, not the module."""

    class Own:
        def find_spec(self, name, path=None, *_):
            return PathFinder.find_spec(name, path) if name == f"{package}.app" else None

    sys.meta_path.insert(0, Own())
    app = importlib.import_module(f"{package}.app")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{package}.other")
    assert calls == [app]


def test_a_module_that_is_being_executed_waits_for_its_end(package, calls, tmp_path):
    """Imports of the module's own, in the midst of it, do not call its hook."""
    (tmp_path / package / "app.py").write_text(
        f"from {package} import fresh, part\nearly = len(part.calls)\n{SOURCE}"
    )
    (tmp_path / package / "fresh.py").write_text("")
    (tmp_path / package / "part.py").write_text("calls = []")
    part = importlib.import_module(f"{package}.part")
    after_import(f"{package}.app", part.calls.append)
    app = importlib.import_module(f"{package}.app")
    assert app.early == 0
    assert part.calls == calls == [app]


def test_a_module_that_is_loaded_by_hand_waits_for_its_end_likewise(package, calls, tmp_path):
    """The recipe of the Python documentation puts it into `sys.modules` before it has run."""
    (tmp_path / package / "app.py").write_text(
        f"from {package} import fresh\nfrom {package}.part import calls\nearly = len(calls)\n"
    )
    (tmp_path / package / "fresh.py").write_text("")
    (tmp_path / package / "part.py").write_text("calls = []")
    part = importlib.import_module(f"{package}.part")
    after_import(f"{package}.app", part.calls.append)
    spec = importlib.util.find_spec(f"{package}.app")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert part.calls == calls == [module]
    assert module.early == 0


def test_threads_that_import_at_once_call_the_hook_once(package, calls):
    """The import lock of the module holds for the hook, too."""
    barrier = threading.Barrier(8)
    modules: list[object] = []

    def load() -> None:
        barrier.wait()
        modules.append(importlib.import_module(f"{package}.app"))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [sys.modules[f"{package}.app"]]
    assert modules == calls * 8
