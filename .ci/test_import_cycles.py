"""That import_cycles.py sees a cycle, and only a cycle."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from import_cycles import report


class Cycles(unittest.TestCase):
    def report(self, **files: str) -> list[str]:
        with tempfile.TemporaryDirectory() as directory:
            for name, text in files.items():
                stem, _, ending = name.rpartition("_")
                path = Path(directory, stem.replace("__", "/") + "." + ending)
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            return [line.strip() for line in report(Path(directory))[1:]]

    def test_a_parent_and_a_child_that_use_each_other(self):
        for use in ["use child::Low;", "fn low() { child::Low }", "use self::child::{self, Low};"]:
            found = self.report(
                parent_rs=f"mod child;\n{use}\npub struct Limit;",
                parent__child_rs="use super::Limit;\npub struct Low(Limit);",
            )
            self.assertIn("parent -> parent/child: Low", found, use)
            self.assertIn("parent/child -> parent: Limit", found, use)

    def test_a_cycle_of_three_through_nested_imports(self):
        found = self.report(
            a_rs="use crate::{b::{X, Y as Z}, d};",
            b_rs="pub(crate) use crate::c::X;",
            c_rs="fn f() -> crate::a::T {}",
            d_rs="use crate::a::T;",
        )
        self.assertEqual(
            found,
            ["a -> b: X", "a -> b: Y", "a -> d: (module)", "b -> c: X", "c -> a: T", "d -> a: T"],
        )

    def test_declarations_comments_and_tests_are_no_imports(self):
        found = self.report(
            lib_rs="mod a;\npub use a::A;",
            a_rs="mod b;\n// use b::B;\nstruct A;\n#[cfg(test)]\nmod tests {\n    use super::b::B;\n}",
            a__b_rs="use super::A;",
        )
        self.assertEqual(found, [])

    def test_a_python_package(self):
        errors = "if TYPE_CHECKING:\n    from .signed import Envelope\n"
        signed = "from .errors import (\n    Invalid,\n    Error,\n)\n"
        found = self.report(errors_py=errors, signed_py=signed)
        self.assertIn("errors -> signed: Envelope", found)
        self.assertIn("signed -> errors: Error", found)
        self.assertEqual(self.report(errors_py="import signed", signed_py=signed), [])


if __name__ == "__main__":
    unittest.main()
