"""
Tests for what makes C{twistd sensord} known, and for rules about the tree that are easily broken.
"""

import ast
from pathlib import Path
from typing import Any

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

import sensord

ROOT = Path(sensord.__file__).parent.parent

#: What each part may not import: DESIGN says why.
FORBIDDEN = {
    "sensord/reading.py": ("sensord", "twisted"),
    "sensord/wire": ("twisted", "sensord.store", "sensord.devices", "sensord.config"),
    "sensord/store": ("sensord.protocols", "sensord.sinks", "sensord.gateway", "sensord.tap"),
    "sensord/protocols": ("sensord.sinks", "sensord.gateway", "sensord.tap"),
    "sensord/devices.py": ("sensord.protocols", "sensord.store", "sensord.gateway"),
    "sensord/config.py": ("twisted", "sensord.devices", "sensord.store", "sensord.protocols"),
}


def modules(path: Path) -> list[Path]:
    """
    A module, or all of a package.
    """
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def imports(path: Path) -> list[str]:
    """
    The names of the modules that a module imports, anywhere in it.
    """
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


class PluginTests(SynchronousTestCase):
    """
    The plugin file.
    """

    def test_listed(self) -> None:
        """
        twistd knows sensord.
        """
        makers: list[Any] = list(getPlugins(IServiceMaker))
        [maker] = [maker for maker in makers if maker.tapname == "sensord"]
        self.assertEqual(maker.module, "sensord.tap")

    def test_light(self) -> None:
        """
        The plugin file, which every twistd command imports, imports nothing of ours.
        """
        self.assertEqual(
            imports(ROOT / "twisted" / "plugins" / "sensord_plugin.py"),
            ["twisted.application.service"],
        )

    def test_noPackage(self) -> None:
        """
        There is no __init__.py under twisted/: an installed one would overwrite Twisted's own.
        """
        if not (ROOT / "setup.cfg").exists():
            return  # installed, where Twisted itself lives beside us
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])


class DirectionTests(SynchronousTestCase):
    """
    Who may import whom.
    """

    def test_direction(self) -> None:
        """
        No module imports what lies behind it.
        """
        for part, forbidden in FORBIDDEN.items():
            for module in modules(ROOT / part):
                for name in imports(module):
                    for wrong in forbidden:
                        self.assertFalse(
                            name == wrong or name.startswith(f"{wrong}."),
                            f"{module.relative_to(ROOT)} imports {name}",
                        )

    def test_reactor(self) -> None:
        """
        No module imports the global reactor when it is imported.
        """
        for module in modules(ROOT / "sensord"):
            for node in ast.parse(module.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                    self.assertNotIn("reactor", [alias.name for alias in node.names], module)

    def test_size(self) -> None:
        """
        A module beyond 400 lines is two modules.
        """
        for module in modules(ROOT / "sensord"):
            lines = len(module.read_text(encoding="utf-8").splitlines())
            self.assertLessEqual(lines, 400, module)
