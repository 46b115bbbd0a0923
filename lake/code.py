"""The version of code: a hash of what it does, not of how it is written.

A comment, a docstring, a blank line or the case of an SQL keyword change nothing; anything else does. A module stands
for itself and for every module of the repository it imports, wherever in the module the import stands. A function
stands for its own body, the definitions of its module that it names, and the modules that those import: a glue module
may hold many assets without tying them together. Everything is read from source and nothing is imported, so a graph of
forty assets takes a fraction of a second.
"""

import ast
import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lake.files import sha256_file

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pipelines", "medcsp_model")  # contracts have a hash of their own; how the lake stores does not change rows
NUM_HEX_DIGITS = 16
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where statements hold statements."""

EntryPoint = str | ModuleType | Callable[..., Any]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name as bound`, or `import module as bound` where name is empty."""

    bound: str
    module: str
    name: str = ""


@dataclass(frozen=True)
class Statement:
    """A top-level statement: its normalised text, the names it reads and the imports inside it."""

    text: str
    names: frozenset[str]
    imports: tuple[Import, ...]


class Module:
    """A parsed file: the hash of all of it, every import in it, and its statements by the names they bind.

    Most modules are only hashed, and their syntax, many thousands of objects, is let go; it is read again where a
    function of the module is asked for.

    Attributes:
        digest: the hash of all its statements.
        imports: every import, at any depth.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        tree = self._read()
        self.digest = hashlib.sha256("\n".join(map(ast.dump, tree.body)).encode()).hexdigest()
        self.imports = _imports(tree)

    def _read(self) -> ast.Module:
        return _normalise(ast.parse(self.path.read_bytes(), filename=str(self.path)))

    @functools.cached_property
    def tree(self) -> ast.Module:
        """Its syntax without docstrings."""
        return self._read()

    @functools.cached_property
    def bindings(self) -> dict[str, list[Statement]]:
        """The statements that bind a name, imports one by one: `a` of `from x import a, b` does not follow b."""
        found: dict[str, list[Statement]] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for item in _imports(node):
                    text = f"import {item.module} {item.name}"
                    found.setdefault(item.bound, []).append(Statement(text, frozenset(), (item,)))
                continue
            statement = _statement(node)
            for name in _bound_names(node):
                found.setdefault(name, []).append(statement)
        return found

    @functools.cached_property
    def entries(self) -> dict[str, list[ast.stmt]]:
        """The statements that bind a name, imports left out."""
        found: dict[str, list[ast.stmt]] = {}
        for node in self.tree.body:
            if not isinstance(node, ast.Import | ast.ImportFrom):
                for name in _bound_names(node):
                    found.setdefault(name, []).append(node)
        return found


def code_version(
    *entry_points: EntryPoint,
    sql_texts: Sequence[str] = (),
    data_files: Sequence[Path] = (),
    exclude: Iterable[str] = (),
    packages: Iterable[str] = PACKAGES,
    root: Path = ROOT,
) -> str:
    """The version of the code that makes something, 16 hex digits.

    Args:
        entry_points: modules (`"pipelines.features.codes"` or the object) and functions (`"module:function"` or the
            object). The decorators of a function named here are not part of it: what Dagster is told changes no row.
        sql_texts: SQL that it runs; hashed by tokens, without comments.
        data_files: files it reads that live in the repository; hashed by bytes.
        exclude: modules or packages whose code is not followed, such as profiles, whose values arrive as settings.
        packages: top-level packages that are followed.
        root: the folder that holds them.

    Raises:
        ValueError: an entry point or a data file is not there.
    """
    repository = _repository(root, frozenset(packages), frozenset(exclude))
    parts = [part for entry in entry_points for part in repository.parts_of(entry)]
    parts += [f"sql {_sql_digest(text)}" for text in sql_texts]
    parts += [f"data {_cached(sha256_file, path)}" for path in data_files]
    return hashlib.sha256("\n".join(dict.fromkeys(parts)).encode()).hexdigest()[:NUM_HEX_DIGITS]


def function_code(function: Callable[..., Any]) -> str:
    """The normalised source of any function or lambda, with the definitions of its module that it names.

    Values it closes over are part of it. Used for the rules of contracts.

    Raises:
        ValueError: its source cannot be found.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or not Path(code.co_filename).is_file():
        raise ValueError(f"the source of {function!r} cannot be read; write the rule as a function in a module")
    module = _cached(Module, Path(code.co_filename))
    nodes = [node for node in ast.walk(module.tree) if _starts_at(node, code.co_firstlineno, code.co_name)]
    if not nodes:
        raise ValueError(
            f"{code.co_filename} no longer holds {code.co_name!r}: it changed since it was imported; start again"
        )
    statements = [_statement(_without_decorators(node)) for node in nodes]
    visited: set[str] = set()
    texts = [text for statement in statements for text in _texts(statement, module, visited)]
    cells = [cell.cell_contents for cell in function.__closure__ or ()] if hasattr(function, "__closure__") else []
    texts += [repr(value) for value in cells if isinstance(value, None | bool | int | float | str | tuple)]
    return "\n".join(texts)


class Repository:
    """The modules of a source tree that count as ours; where each lies is looked up once a process."""

    def __init__(self, root: Path, packages: frozenset[str], exclude: frozenset[str]) -> None:
        self.root = root
        self.packages = packages
        self.exclude = exclude
        self._paths: dict[str, Path | None] = {}

    def parts_of(self, entry: EntryPoint) -> Iterator[str]:
        """What an entry point's version is made of, as lines of text in a fixed order."""
        module_name, function_name = _entry_names(entry)
        if self.path_of(module_name) is None:
            raise ValueError(
                f"code_version: no module {module_name!r} under {self.root} in packages {sorted(self.packages)}"
            )
        if not function_name:
            yield from self.closure([module_name])
            return
        module = self.module(module_name)
        if function_name not in module.entries:
            raise ValueError(f"code_version: {module_name!r} defines no {function_name!r} at its top level")
        visited = {function_name}
        reached: set[str] = set()
        for node in module.entries[function_name]:
            for text, imports in _walk(_statement(_without_decorators(node)), module, visited):
                yield text
                reached.update(name for item in imports for name in self.targets(module_name, item))
        yield from self.closure(sorted(reached))

    def closure(self, names: Iterable[str]) -> list[str]:
        """`module digest` of these modules and all they import, sorted."""
        found: dict[str, str] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                module = self.module(name)
                found[name] = module.digest
                waiting.extend(target for item in module.imports for target in self.targets(name, item))
        return [f"{name} {digest}" for name, digest in sorted(found.items())]

    def module(self, name: str) -> Module:
        """The parsed source of one of our modules."""
        path = self.path_of(name)
        assert path is not None, name
        return _cached(Module, path)

    def path_of(self, name: str) -> Path | None:
        """The file of one of our modules, None for everybody else's and for excluded ones."""
        if name not in self._paths:
            self._paths[name] = self._find(name)
        return self._paths[name]

    def _find(self, name: str) -> Path | None:
        parts = name.split(".")
        if parts[0] not in self.packages or any(".".join(parts[:n]) in self.exclude for n in range(1, len(parts) + 1)):
            return None
        base = self.root.joinpath(*parts)
        return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)

    def targets(self, importer: str, item: Import) -> Iterator[str]:
        """The module of ours that an import reaches: a submodule where there is one, else the module with the name."""
        module = self._absolute(importer, item.module)
        for name in (f"{module}.{item.name}", module) if item.name else (module,):
            if self.path_of(name) is not None:
                yield name
                return

    def _absolute(self, importer: str, module: str) -> str:
        """Resolve the leading dots of a relative import."""
        level = len(module) - len(module.lstrip("."))
        if not level:
            return module
        path = self.path_of(importer)
        package = importer.split(".") if path and path.name == "__init__.py" else importer.split(".")[:-1]
        return ".".join([*package[: len(package) - level + 1], *filter(None, [module.lstrip(".")])])


@functools.lru_cache
def _repository(root: Path, packages: frozenset[str], exclude: frozenset[str]) -> Repository:
    return Repository(root, packages, exclude)


def _entry_names(entry: EntryPoint) -> tuple[str, str]:
    """`(module, function)`; the function is empty for a module."""
    if isinstance(entry, str):
        module, _, function = entry.partition(":")
        return module, function
    if isinstance(entry, ModuleType):
        return entry.__name__, ""
    function_object = inspect.unwrap(entry)
    return function_object.__module__, function_object.__qualname__.split(".")[0]


# ---- parsing, each file once --------------------------------------------------------------------------------------


def _cached(read: Callable[[Path], Any], path: Path) -> Any:
    """`read(path)`, done again only when the file's size or time of change differ."""
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(f"code_version: {path} cannot be read: {error.strerror}") from error
    return _remember(read, path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4096)
def _remember(read: Callable[[Path], Any], path: Path, mtime_ns: int, num_bytes: int) -> Any:
    return read(path)


def _normalise(tree: ast.Module) -> ast.Module:
    """Drop every statement that is only a string: docstrings of modules, classes, functions and attributes."""
    for node in _blocks(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [item for item in body if not _is_text(item)]
            node.body = kept or ([] if isinstance(node, ast.Module) else [ast.Pass()])  # type: ignore[attr-defined]
    return tree


def _blocks(node: ast.AST) -> Iterator[ast.AST]:
    """A piece of syntax and all statements in it, without going into expressions: they are most of a tree."""
    yield node
    for name in BLOCKS:
        for item in getattr(node, name, None) or () if not isinstance(node, ast.expr) else ():
            yield from _blocks(item)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _statement(node: ast.AST) -> Statement:
    names = frozenset(item.id for item in ast.walk(node) if isinstance(item, ast.Name))
    return Statement(text=ast.dump(node), names=names, imports=_imports(node))


def _imports(tree: ast.AST) -> tuple[Import, ...]:
    """Every import inside a piece of syntax, at any depth."""
    found: list[Import] = []
    for node in _blocks(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += [Import(alias.asname or alias.name, module, alias.name) for alias in node.names]
    return tuple(found)


def _bound_names(node: ast.stmt) -> set[str]:
    """The module-level names a top-level statement defines or changes."""
    if isinstance(node, Definition):
        return {node.name}
    names = {item.bound for item in _imports(node)}
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        names.add(_base_name(node.value.func))  # TABLE.update(...)
    for item in ast.walk(node):
        if isinstance(item, Definition):
            names.add(item.name)
        elif isinstance(item, ast.Name | ast.Attribute | ast.Subscript) and isinstance(item.ctx, ast.Store):
            names.add(_base_name(item))
    return names - {""}


def _base_name(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _walk(statement: Statement, module: Module, visited: set[str]) -> Iterator[tuple[str, tuple[Import, ...]]]:
    """Text and imports of a statement and of every statement of its module that it needs."""
    yield statement.text, statement.imports
    for name in sorted({*statement.names, "*"} - visited):
        visited.add(name)
        for needed in module.bindings.get(name, ()):
            yield from _walk(needed, module, visited)


def _texts(statement: Statement, module: Module, visited: set[str]) -> Iterator[str]:
    for text, _ in _walk(statement, module, visited):
        yield text


def _without_decorators(node: ast.AST) -> ast.AST:
    if not isinstance(node, Definition):
        return node
    return type(node)(**{**dict(ast.iter_fields(node)), "decorator_list": []})


def _starts_at(node: ast.AST, line: int, name: str) -> bool:
    """Whether this is the function of this name, or a lambda, that begins on this line, decorators included."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name == name and min([node.lineno, *(item.lineno for item in node.decorator_list)]) == line
    return isinstance(node, ast.Lambda) and node.lineno == line and name == "<lambda>"


def _sql_digest(text: str) -> str:
    """The hash of the tokens of SQL: comments, white space and the case of words do not count."""
    from sqlglot import tokenize
    from sqlglot.tokens import TokenType

    words = [
        (
            token.token_type.name,
            token.text if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) else token.text.lower(),
        )
        for token in tokenize(text, read="duckdb")
    ]
    return hashlib.sha256(repr(words).encode()).hexdigest()
