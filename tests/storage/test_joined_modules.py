"""Joining ES modules: each after those that it imports, and an error for all that would make another program of it."""

import pytest

from mcp_server.storage.assets import joined


def test_a_module_follows_those_that_it_imports_and_each_comes_once() -> None:
    sources = {
        "a.js": 'import { c } from "./c.js";\nimport { b } from "./b.js";\nb(c);\n',
        "b.js": '// About b.\n\nimport { c } from "./c.js";\nexport function b(x) {\n  return x + c;\n}\n',
        "c.js": "export const c = 1;\n",
        "d.js": "const d = 1;\n",
    }
    assert joined(sources) == "const c = 1;\nfunction b(x) {\n  return x + c;\n}\nb(c);\nconst d = 1;\n"


@pytest.mark.parametrize(
    "declaration",
    ["function x() {}", "async function x() {}", "function* x() {}", "const x = 1;", "let x;", "class x {}"],
)
def test_whatever_is_exported_is_declared(declaration: str) -> None:
    sources = {"a.js": 'import {\n  x,\n} from "./b.js";\nx;\n', "b.js": f"export {declaration}\n"}
    assert joined(sources) == f"{declaration}\nx;\n"


def test_a_module_may_be_imported_for_what_it_does() -> None:
    assert joined({"a.js": 'import "./b.js";\nlast();\n', "b.js": "first();\n"}) == "first();\nlast();\n"


def test_words_within_the_code_stay() -> None:
    code = 'const text = "import { a } from elsewhere; export"; // as it is\n  await import(text);\n'
    assert joined({"a.js": code}) == code


def test_lines_of_comment_are_left_out() -> None:
    code = "/** About a. */\nconst a = 1;\n  // About b.\n  b(a); /* at once */\n"
    assert joined({"a.js": code}) == "const a = 1;\n  b(a); /* at once */\n"


@pytest.mark.parametrize(
    ("sources", "problem"),
    [
        ({"a.js": 'import "./b.js";\n', "b.js": 'import "./a.js";\n'}, "a.js → b.js → a.js"),
        ({"a.js": 'import "./a.js";\n'}, "a.js → a.js"),
        ({"a.js": "const x = 1;\n", "b.js": "export async function x() {}\n"}, "x is declared in a.js and in b.js"),
        ({"a.js": "const x = 1;\nfunction x() {}\n"}, "x is declared in a.js and in a.js"),
        ({"a.js": 'import { x } from "./b.js";\n', "b.js": "const x = 1;\n"}, "imports x from b.js"),
        ({"a.js": 'import { x, y } from "./b.js";\n', "b.js": "export const x = 1;\n"}, "imports y from b.js"),
        ({"a.js": 'import "./b.js";\n'}, "imports b.js, which does not exist"),
        ({"a.js": 'import { x as y } from "./b.js";\n', "b.js": "export const x = 1;\n"}, "imports x as y"),
        ({"a.js": 'import * as b from "./b.js";\n', "b.js": ""}, "cannot be joined: import"),
        ({"a.js": 'import b from "./b.js";\n', "b.js": ""}, "cannot be joined: import"),
        ({"a.js": 'import { x } from "https://elsewhere.example/x.js";\n'}, "cannot be joined: import"),
        ({"a.js": "export default 1;\n"}, "cannot be joined: export"),
        ({"a.js": "const x = 1;\nexport { x };\n"}, "cannot be joined: export"),
        ({"a.js": "export var x = 1;\n"}, "cannot be joined: export"),
    ],
)
def test_what_cannot_be_joined_is_an_error(sources: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace(".", r"\.")):
        joined(sources)
