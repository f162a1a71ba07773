"""A participant who walks a session through the API, knowing only what it sends."""

from uuid import uuid4

from data.studies import cell_position
from experiment_server.simulation.recognition import Recognition


class Participant:
    """Keeps the last state; ``answer`` needs the study only to be right or wrong."""

    def __init__(self, client, study):
        self.client = client
        self.study = study
        self.token = None
        self.state = None
        self.elapsed_ms = 0.0
        self.sent = []
        self._recognition = Recognition(study)

    @property
    def screen(self):
        return self.state["screen"]

    def join(self, **body):
        body = {"join_key": str(uuid4())} | body
        return self._adopt(self.client.post("/api/sessions", json=body))

    def resume(self, **body):
        """Load the page anew."""
        body = {"resume_key": str(uuid4())} | body
        return self._adopt(
            self.client.post("/api/session/resume", json=body, headers=self.headers)
        )

    def _adopt(self, reply):
        if reply.status_code in (200, 201):
            self.token, self.state = reply.json["token"], reply.json["state"]
        return reply

    def get(self, path="/api/session"):
        return self.client.get(path, headers=self.headers)

    def post(self, step, body):
        reply = self.client.post(
            f"/api/session/{step}", json=body, headers=self.headers
        )
        content = reply.get_json(silent=True) or {}
        self.state = content.get("state") or (
            content if "screen" in content else self.state
        )
        return reply

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}

    def tick(self, ms=5000.0):
        self.elapsed_ms += ms
        return self.elapsed_ms

    def consent(self, *, agreed=True):
        version = self.state["consent"]["version"]
        return self.post("consent", {"agreed": agreed, "consent_version": version})

    def read(self):
        pages = [{"page": 0, "viewing_ms": 9000.0}, {"page": 1, "viewing_ms": 11000.0}]
        return self.post(
            "instructions", {"time_elapsed_ms": self.tick(20_000), "pages": pages}
        )

    def go_on(self):
        body = {"screen": self.screen, "time_elapsed_ms": self.tick()}
        return self.post("continue", body)

    def shown_trial(self):
        """The open trial, found by its picture, with its cells as they were sent."""
        image = self.client.get(self.state["trial"]["image"])
        assert image.status_code == 200
        return self._recognition.trial_as_sent(self.state["trial"], image.data)

    def right_row(self):
        """The right row, worked out anew from the study's server-side part."""
        shown, trial = self.state["trial"], self.shown_trial()
        if trial.instructed_query:
            return trial.instructed_query
        upper = list(cell_position(trial.cells.positive_query))
        positive_is_upper = upper == shown["upper"]
        examples = trial.cells.positive_explanations
        # Without examples the page asks for the positive query.
        positive_is_right = (
            not examples or list(cell_position(examples[0])) in shown["right"]
        )
        return "upper" if positive_is_right == positive_is_upper else "lower"

    def answer_body(self, *, right=True, **changes):
        row = self.right_row()
        if not right:
            row = {"upper": "lower", "lower": "upper"}[row]
        return {
            "sequence": self.state["trial"]["sequence"],
            "idempotency_key": str(uuid4()),
            "chosen": row,
            "confidence": 2,
            "rt_ms": 1234.5,
            "time_elapsed_ms": self.tick(),
            "input": "api",
        } | changes

    def answer(self, *, right=True, **changes):
        self.sent.append(self.answer_body(right=right, **changes))
        return self.post("answers", self.sent[-1])

    def step(self, *, right=True):
        """Take the step that leads on from the present screen."""
        steps = {
            "consent": self.consent,
            "instructions": self.read,
            "trial": lambda: self.answer(right=right),
            "feedback": lambda: self.post("feedback", {"text": "Fine."}),
            "debrief": lambda: self.post("finish", {"time_elapsed_ms": self.tick()}),
        }
        return steps.get(self.screen, self.go_on)()

    def walk_to(self, screen, *, practice=None, right=True):
        """Go on until a screen; ``practice`` tells apart the trials of the two."""
        for _ in range(200):
            trial = self.state["trial"]
            if self.screen == screen and (
                practice is None or trial["practice"] == practice
            ):
                return self
            reply = self.step(right=right)
            assert reply.status_code in (200, 201), reply.json
        raise AssertionError(f"{screen} was not reached; at {self.screen}")
