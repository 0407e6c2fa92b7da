"""
The outage that the README shows.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

from tests.integration.daemon import DaemonTestCase, freePort
from tests.integration.databases import Influxd
from tests.test_readme import README


def commands() -> str:
    """
    What the README has people type.
    """
    text = README.read_text(encoding="utf-8")
    [block] = re.findall(r"\*\*An outage\*\*.*?::\n\n((?:    [^\n]*\n)+)", text, re.S)
    return re.sub("^    ", "", block, flags=re.M)


class OutageTests(DaemonTestCase):
    """
    The commands, as they stand but for ports, and for how a service is stopped and started.
    """

    def test_readme(self) -> None:
        """
        All that was sent while InfluxDB was away is there in the end, and the ledger balances.
        """
        if shutil.which("bash") is None or shutil.which("curl") is None:
            raise SkipTest("apt-get install bash curl")
        home = self.folder / "influxdb"
        home.mkdir()
        influx = Influxd(home)
        self.addCleanup(influx.close)
        influx.start()
        port = str(freePort())
        script = commands().replace("50011", port)
        script = script.replace("localhost:8086", f"127.0.0.1:{influx.port}")
        script = script.replace("create = true'", f"create = true' 'url = \"{influx.url}\"'")
        before, during, after = re.split(r"sudo systemctl \w+ influxdb\n", script)
        self.addCleanup(self.shell, "kill $(cat twistd.pid) || true")
        self.shell(before)
        influx.end()
        self.assertRegex(self.shell(during), r"(?m)^influx .* retrying +100 +0 +0 +1000 ")
        influx.start()
        said = self.shell(after)
        self.assertIn(",1100]", said)
        self.assertRegex(said, r"(?m)^influx +1100 +1100 +0 +0 +0$")

    def shell(self, script: str) -> str:
        """
        Run commands as a user would who has the virtual environment activated.

        @return: what they print.
        """
        tools = Path(sys.executable).parent
        done = subprocess.run(
            ["bash", "-ec", f'PATH="{tools}:$PATH"\n{script}'],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout
