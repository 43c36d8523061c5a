"""The rules of the house, for the C sources and for the files of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CSRC = ROOT / "_acontextlib" / "csrc"
FILES = sorted(CSRC.glob("*.[ch]"))
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in FILES}
SOURCES = {name: text for name, text in TEXTS.items() if name.endswith(".c")}

MOST_LINES_OF_A_FILE = 600
MOST_LINES_OF_A_FUNCTION = 80

# Tables that the C API takes as pointers to what is not const, although nobody writes to them.
TABLES = {
    "PyGetSetDef",
    "PyMemberDef",
    "PyMethodDef",
    "PyModuleDef",
    "PyModuleDef_Slot",
    "PyType_Slot",
    "PyType_Spec",
}

each_file = pytest.mark.parametrize("name", TEXTS)
each_source = pytest.mark.parametrize("name", SOURCES)


def without_comments(text):
    """The same text with comments and the contents of strings blank, every line where it was."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|' + r"'(?:\\.|[^'\\\n])*'", re.DOTALL)

    def blank(match):
        kept = '""' if match[0].startswith('"') else "' '" if match[0].startswith("'") else ""
        return kept + re.sub(r"[^\n]", " ", match[0][len(kept) :])

    return token.sub(blank, text)


def functions(text):
    """(name, first line, number of lines, body) of each function defined in `text`.

    clang-format keeps the opening and the closing brace of functions, and of nothing else, alone in the first column.
    """
    lines = without_comments(text).split("\n")
    found = []
    for opening in (number for number, line in enumerate(lines) if line == "{"):
        closing = lines.index("}", opening)
        first = opening
        while first and lines[first - 1].strip() and not lines[first - 1].startswith(("#", "}")):
            first -= 1
        name = re.search(r"(\w+)\s*\(", " ".join(lines[first:opening]).replace("PyMODINIT_FUNC", ""))[1]
        found.append((name, first + 1, closing - first + 1, "\n".join(lines[opening : closing + 1])))
    return found


def initialiser(text, name):
    """What stands between the braces after `name[] =` or `name =`."""
    return re.search(rf"\b{name}(?:\[\])? = \{{\n(.*?)^\}};", text, re.DOTALL | re.MULTILINE)[1]


def directives(text):
    """The preprocessor's lines, those continued with a backslash as one."""
    return re.findall(r"^[ \t]*#[ \t]*((?:[^\\\n]|\\.|\\\n)*)", without_comments(text), re.MULTILINE)


def test_sources_are_found():
    if not CSRC.exists():
        pytest.skip("needs the project's checkout or sdist")
    assert SOURCES
    assert functions("".join(SOURCES.values()))


# Sizes


@each_file
def test_file_is_short(name):
    assert TEXTS[name].count("\n") <= MOST_LINES_OF_A_FILE


@each_file
def test_functions_are_short(name):
    long = [f"{name}:{line}: {function}: {count} lines" for function, line, count, _ in functions(TEXTS[name])]
    assert [text for text in long if int(text.split()[-2]) > MOST_LINES_OF_A_FUNCTION] == []


@each_file
def test_lines_are_short(name):
    assert [line for line in TEXTS[name].split("\n") if len(line) > 120] == []


@each_file
def test_file_starts_with_what_it_is(name):
    assert TEXTS[name].startswith(("//", "/*"))


# Versions and macros


@each_file
def test_versions_are_compared_in_one_file_only(name):
    if name == "compat.h":
        assert "PY_VERSION_HEX" in TEXTS[name]
    else:
        assert "PY_VERSION_HEX" not in TEXTS[name]
        assert "PY_MINOR_VERSION" not in TEXTS[name]


@each_file
def test_macros_do_not_leave_the_function(name):
    macros = [line for line in directives(TEXTS[name]) if line.startswith("define")]
    assert [macro for macro in macros if re.search(r"\b(?:return|goto|break|continue)\b", macro)] == []


@each_file
def test_macros_are_upper_case(name):
    names = re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", TEXTS[name], re.MULTILINE)
    shims = re.compile(r"_?Py[A-Z_]\w*")  # what a later Python's headers call it
    # Hidden in compat.h, elsewhere only what is ours.
    odd = [macro for macro in names if not macro.isupper() and not (name == "compat.h" and shims.fullmatch(macro))]
    assert odd == []


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".h")])
def test_header_is_guarded(name):
    assert directives(TEXTS[name])[0].split()[0] in {"pragma", "ifndef"}


# Types and state


def specs():
    """(file, name of the spec, its text) of each type."""
    for name, text in SOURCES.items():
        for spec in re.findall(r"^(?:static )?PyType_Spec (\w+) = \{$", text, re.MULTILINE):
            yield name, spec, initialiser(text, spec)


def test_every_type_visits_its_type():
    """An instance of a heap type keeps its type alive, which the collector must be told."""
    found = list(specs())
    assert found
    for name, spec, text in found:
        assert "Py_TPFLAGS_HAVE_GC" in text, spec
        slots = initialiser(SOURCES[name], re.search(r"\.slots = (\w+)", text)[1])
        traverse = re.search(r"\{Py_tp_traverse, (?:\(void \*\))?(\w+)\}", slots)
        assert traverse, f"{spec} has no tp_traverse"
        body = next(body for function, _, _, body in functions(SOURCES[name]) if function == traverse[1])
        assert re.search(r"Py_VISIT\(Py_TYPE\(\w+\)\);", body), f"{traverse[1]} does not visit the type"


def test_every_type_releases_its_type():
    """A deallocator lets go of the type at its end, itself or by its *_free(); the one that types without their own get
    does so, too."""
    for name, spec, text in specs():
        slots = initialiser(SOURCES[name], re.search(r"\.slots = (\w+)", text)[1])
        dealloc = re.search(r"\{Py_tp_dealloc, (?:\(void \*\))?(\w+)\}", slots)
        if dealloc is None:
            continue
        body = next(body for function, _, _, body in functions(SOURCES[name]) if function == dealloc[1])
        assert "PyObject_GC_UnTrack(" in body, f"{spec}: {dealloc[1]} does not untrack"
        free = re.findall(r"\b\w+_free(?=\()", body)
        body += "".join(body for function, _, _, body in functions(SOURCES[name]) if function in free)
        assert re.search(r"Py_DECREF\(\w*type\w*\);|actx_freelist_push\(", body), (
            f"{spec}: {dealloc[1]} does not release the type"
        )


def test_every_type_that_keeps_its_objects_asks_for_the_state():
    """The collector may have freed the module's state before the last objects: nothing is kept in it then."""
    found = [
        (function, body)
        for text in SOURCES.values()
        for function, _, _, body in functions(text)
        if "actx_freelist_push(" in body
    ]
    assert len(found) >= 4
    for function, body in found:
        before = body.partition("actx_freelist_push(")[0]
        assert re.search(r"actx_type_has_state\(|->finalized|\bplain\b", before), f"{function} does not ask"
    deallocs = (f for text in SOURCES.values() for f in functions(text) if f[0].endswith("_tp_dealloc"))
    for *_, body in deallocs:  # `plain` is the answer, asked for before anything was released
        for asked in re.findall(r"\w+ \*?plain = (.*)", body):
            assert "actx_type_has_state(" in asked or asked == "simple_class(self, type);"


@each_file
def test_no_static_data_can_change(name):
    """All state is the module's: a second interpreter, or a second copy of the module, has its own."""
    variables = re.findall(
        r"^[ \t]*(?:static|extern)[ \t]+(?!inline\b)([^;=({]+?)(?:\[[^]]*\])*[ \t]*(?:=|;)",
        without_comments(TEXTS[name]),
        re.MULTILINE,
    )
    # A pointer to what is const can itself be changed, unless it is const, too.
    constant = re.compile(r"(?:.*\*\s*const\b|(?:struct )?const\b[^*]*$)", re.DOTALL)
    assert [each for each in variables if not constant.match(each) and each.split()[0] not in TABLES] == []
    # Definitions at file scope without `static`, too.
    loose = re.findall(
        r"^(?!static|extern|typedef|const|struct|enum|union|return)(\w+)[ \t*]+\w+(?:\[[^]]*\])?(?: =|;)",
        without_comments(TEXTS[name]),
        re.MULTILINE,
    )
    assert set(loose) <= TABLES


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF symbols")
def test_built_extension_has_no_data_that_can_change():
    """What the rule above might not recognise, the linker does: writable objects in the extension are tables only."""
    core = pytest.importorskip("_acontextlib._core")
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf")
    said = subprocess.run(["readelf", "-SsW", core.__file__], capture_output=True, text=True, check=True).stdout
    sections = dict(re.findall(r"^ *\[ *(\d+)\] (\S+)", said, re.MULTILINE))
    objects = set()
    for line in said.splitlines():
        fields = line.split()
        if len(fields) == 8 and fields[3] == "OBJECT" and sections.get(fields[6]) in {".data", ".bss"}:
            objects.add(fields[7])
    if not objects:
        pytest.skip("the extension was stripped of its symbols")
    declared = re.compile(rf"^(?:static )?(?:{'|'.join(sorted(TABLES))}) (\w+)", re.MULTILINE)
    tables = {table for text in SOURCES.values() for table in declared.findall(text)}
    of_the_compiler = {"__dso_handle", "__TMC_END__", "_DYNAMIC", "_GLOBAL_OFFSET_TABLE_"}
    # crtstuff's `completed.0`; a table that the optimiser split keeps its name before the dot.
    assert {name for name in objects if name.split(".")[0] not in tables | {"completed"}} <= of_the_compiler


# Documentation strings


@each_source
def test_docstrings_give_signatures(name):
    """`inspect.signature` reads the first line up to the line with two hyphens."""
    docs = re.findall(r"^PyDoc_STRVAR\(\s*(\w+),(.*?)\);$", TEXTS[name], re.DOTALL | re.MULTILINE)
    assert len(docs) == TEXTS[name].count("PyDoc_STRVAR(")
    for doc, text in docs:
        joined = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', text))
        if re.match(r"\w+\(\$", joined):
            assert re.match(r"\w+\(\$[^\\]*\)\\n--\\n\\n\S", joined), f"{doc} has no signature line"


# All files of the project


def texts():
    """(name, text) of each file that belongs to the project."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip(f"git says: {listed.stderr}")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            yield name, (ROOT / name).read_text(encoding="utf-8")


def test_no_file_names_a_place_of_one_machine():
    """Home directories and other people's folders; documentation has paths such as `~/.venv` or relative ones."""
    place = re.compile(
        r"(?<![\w./~}$)])/(?:home|root|Users|work|workspace|opt|mnt|srv)/\w+|(?<!\w)C:\\Users|\.\./shared"
    )
    # The script that prepares a machine knows where that machine keeps its interpreters.
    found = [f"{name}: {match[0]}" for name, text in texts() if name != ".ci/run" for match in place.finditer(text)]
    assert found == []


def test_text_files_are_tidy():
    for name, text in texts():
        if name.endswith(".svg"):
            continue
        assert "\r" not in text, name
        assert "\t" not in text, name
        assert not text or text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert [line for line in text.split("\n") if line != line.rstrip()] == [], name


def test_files_of_python_are_short():
    lengths = {name: text.count("\n") for name, text in texts() if name.endswith(".py")}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FILE} == {}


def test_nothing_is_left_to_do():
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    assert [f"{name}: {match[0]}" for name, text in texts() for match in mark.finditer(text)] == []
