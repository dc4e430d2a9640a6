"""The examples, as they are run."""

import os
import subprocess
import sys

from stage import PATIENCE, Case, Lines, new_phone, phone, scan

EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "examples")


class Supervisor(Case):
    def run_it(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, os.path.join(EXAMPLES, "supervisor.py"), *arguments],
            env={**os.environ, "WASESSIOND_SOCKET": self.stage.socket},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        return process

    def test_it_keeps_a_session_up_over_a_restart_and_a_logout(self):
        process = self.run_it("alice")
        lines = Lines(process.stdout)
        self.addCleanup(lines.join)
        self.addCleanup(process.kill)
        number = new_phone()
        device = scan(lines.until("qr: "), number)
        self.assertEqual(lines.until("online: "), f"+{number}")

        self.stage.stop()
        lines.until("waiting: ")
        self.stage.start()
        lines.until("online: ")

        phone("unlink", device=device)
        self.assertEqual(lines.until("ended: "), "unlinked")
        self.assertNotEqual(scan(lines.until("qr: "), number), device)
        self.assertEqual(lines.until("online: "), f"+{number}")

    def test_it_says_what_is_wrong(self):
        self.assertIn("not a user id", self.run_it("../alice").communicate(timeout=PATIENCE)[1])
        self.stage.stop()
        self.assertIn("no daemon", self.run_it("alice").communicate(timeout=PATIENCE)[1])
