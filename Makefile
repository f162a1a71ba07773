# Needs Python 3.11 or later and make. What else is needed comes from package
# registries, without root: Node, a Chromium and a PostgreSQL for tests.

PYTHON ?= python3
STUDY ?= artifacts/demo/study

SOURCES = data stimuli mis experiment_server analysis benchmarks tests unitscope.py
CLIENT = experiment_server/client
CHROMIUM = experiment_server/chromium
PICTURES = stimuli/pictures

# An installed Node serves when it is new enough; the environment has its own.
NODE_IS_NEW = command -v npm && node -e 'const [major, minor] = \
	process.versions.node.split(".").map(Number); \
	process.exit(major > 22 || (major === 22 && minor >= 17) ? 0 : 1)'
WITH_NODE = { $(NODE_IS_NEW); } >/dev/null 2>&1 || \
	PATH="$(CURDIR)/.venv/bin:$$PATH"; export PATH;

.PHONY: setup check fix test serve coverage chaos
.DELETE_ON_ERROR:

setup: .venv/.installed experiment_server/static/bundle/.built \
	.tools/chromium/.installed .tools/pictures/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is older than Python 3.11." \
			"Name a newer one: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -c constraints.txt -e '.[all,dev]'
	touch $@

$(CLIENT)/node_modules/.installed: $(CLIENT)/package-lock.json | .venv/.installed
	@$(WITH_NODE) npm ci --prefix $(CLIENT)
	touch $@

experiment_server/static/bundle/.built: $(CLIENT)/node_modules/.installed \
	$(CLIENT)/build.mjs $(CLIENT)/src $(wildcard $(CLIENT)/src/* $(CLIENT)/src/*/*)
	@$(WITH_NODE) npm run --prefix $(CLIENT) build
	touch $@

# Filled under another name and renamed, so that a half-filled folder is never used.
# A Chromium that is installed, or named in UNITSCOPE_CHROMIUM, is used as it is.
.tools/chromium/.installed: $(CHROMIUM)/package-lock.json | .venv/.installed
	rm -rf .tools/chromium .tools/chromium.part
	mkdir -p .tools/chromium.part
	@set -e; if .venv/bin/python -m experiment_server.browser 2>/dev/null; then exit; fi; \
	cp $(CHROMIUM)/package*.json $(CHROMIUM)/.npmrc $(CHROMIUM)/unpack.mjs \
		.tools/chromium.part; \
	cd .tools/chromium.part; $(WITH_NODE) \
	npm ci; node unpack.mjs; rm -rf node_modules
	mv .tools/chromium.part .tools/chromium
	touch $@

.tools/pictures/.installed: $(PICTURES)/package-lock.json | .venv/.installed
	rm -rf .tools/pictures .tools/pictures.part
	mkdir -p .tools/pictures.part
	cp $(PICTURES)/package*.json $(PICTURES)/.npmrc .tools/pictures.part
	@cd .tools/pictures.part; $(WITH_NODE) npm ci
	mv .tools/pictures.part .tools/pictures
	touch $@

check: setup
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/mypy
	.venv/bin/lint-imports
	@$(WITH_NODE) npm run --prefix $(CLIENT) check

fix: .venv/.installed
	.venv/bin/ruff check --fix $(SOURCES)
	.venv/bin/ruff format $(SOURCES)

test: check
	@$(WITH_NODE) npm run --prefix $(CLIENT) --if-present test
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile

serve: setup
	.venv/bin/unitscope serve $(STUDY)

# Everything breaks around a server on purpose, on both databases: ten minutes, more when busy.
chaos: setup
	.venv/bin/python -m tests.chaos --sessions 200 --browsers 10 --with-planted \
		--out artifacts/chaos.json

# How often each 95% interval holds the truth: a thousand simulated studies of two
# kinds; half an hour.
coverage: .venv/.installed
	OMP_NUM_THREADS=1 .venv/bin/python -m analysis.coverage --studies 1000 \
		--out analysis/coverage.md

.PHONY: kills

# Recordings, features, scores and sweeps, on one machine and on a cluster, are each
# killed at 20 moments and must end with the same bytes: half an hour, more when busy.
kills: .venv/.installed
	.venv/bin/python -m tests.kills --points 20 --out artifacts/kills.json

.PHONY: bench

# What the machine observer costs, beside the plain thing: ten minutes on two cores.
# The figures are written to artifacts/bench; the table at the end says which are met.
bench: .venv/.installed
	.venv/bin/python benchmarks/score.py
	.venv/bin/python benchmarks/score_memory.py
	.venv/bin/python benchmarks/record.py
	.venv/bin/python benchmarks/encoders.py
	.venv/bin/python benchmarks/whole_run.py
	@.venv/bin/python benchmarks/summary.py

# The demo: every step of the README, in order, on real photographs and a trained
# network. Each step is a file that the next one needs, so nothing is done twice.

DEMO = artifacts/demo
IMAGES ?=
FROM = $(if $(IMAGES),--folder "$(IMAGES)",--packages)
UNITSCOPE = .venv/bin/unitscope
LAYERS = _blocks.2,_blocks.5,_blocks.10,_blocks.14,_conv_head
REPORT = $(DEMO)/report/report.html

# Every page in both languages and three window sizes, to be looked at.
.PHONY: screenshots page-memory
screenshots: setup
	.venv/bin/python -m tests.experiment_server.screenshots

# Whether the page holds more after 300 trials than after 50.
page-memory: setup
	.venv/bin/python -m benchmarks.page_memory

.PHONY: load

# Sessions at human pace on both databases, beside a bare floor: about half an hour.
load: setup
	.venv/bin/python -m benchmarks.load --out artifacts/load.json

.PHONY: attacker

# Learners that see all that is sent but the pictures must stay at chance.
attacker: setup
	.venv/bin/python -m benchmarks.attacker --out artifacts/attacker.json

.PHONY: timing

# When pictures appear and how response times hold, beside jsPsych's own plugins.
timing: setup
	.venv/bin/python -m benchmarks.timing --out artifacts/timing.json

.PHONY: demo FORCE

demo: $(REPORT)
	@cat $(DEMO)/report/report.txt
	@echo
	@echo "Made in $(DEMO):"
	@echo "  images/ recording/ tasks/   photographs, extreme images and tasks of each unit"
	@echo "  scores/                     MIS of each unit (mis.parquet) and of each task"
	@echo "  selection/ study/           the chosen units; the study that was served"
	@echo "  answers.sqlite trial.png    the server's database; a trial as it was shown"
	@echo "  export/responses.csv        IMI's 45 columns"
	@echo "  export/responses.parquet    our own table, with sessions.parquet beside it"
	@echo "  report/report.html          the report; report.json has every number"

$(DEMO)/.images: FORCE
	@mkdir -p $(DEMO)
	@echo '$(FROM)' | cmp -s - $@ || echo '$(FROM)' > $@

$(DEMO)/images/images.json: $(DEMO)/.images | setup
	$(UNITSCOPE) images $(FROM) --out $(@D)

$(DEMO)/recording/recording.json: $(DEMO)/images/images.json
	$(UNITSCOPE) record --images $(<D) --network efficientnet-lite0 \
		--layers $(LAYERS) --n-extremes 60 --check-labels --out $(@D)

$(DEMO)/tasks/tasks.json: $(DEMO)/recording/recording.json
	$(UNITSCOPE) tasks $(<D) --n-tasks 6 --n-explanations 9 --out $(@D)

$(DEMO)/scores/scores.json: $(DEMO)/tasks/tasks.json
	$(UNITSCOPE) score $(<D) --images $(DEMO)/images \
		--encoder efficientnet-lite2 --out $(@D)

$(DEMO)/selection/selection.json: $(DEMO)/scores/scores.json
	$(UNITSCOPE) select --scores $(<D) --n 10 \
		--groups easiest,random,hardest --out $(@D)

$(DEMO)/study/study.json: $(DEMO)/selection/selection.json
	$(UNITSCOPE) compile $(DEMO)/tasks --images $(DEMO)/images \
		--selection $(<D) --scores $(DEMO)/scores --recording $(DEMO)/recording \
		--study-id demo --slots 60 --main-trials 30 --seed 0 --out $(@D)

# The simulated observers see with another network than the one that scored.
$(DEMO)/observer/scores.json: $(DEMO)/tasks/tasks.json
	$(UNITSCOPE) score $(<D) --images $(DEMO)/images \
		--encoder efficientnet-lite1 --out $(@D)

# A study that was compiled anew starts with an empty database.
$(DEMO)/.simulated: $(DEMO)/study/study.json $(DEMO)/observer/scores.json
	test ! -e $@ || rm -f $(DEMO)/answers.sqlite*
	$(UNITSCOPE) simulate $(<D) --serve --database sqlite:///$(DEMO)/answers.sqlite \
		--observer similarity --scores $(DEMO)/observer \
		--sessions 60 --browser 3 --careless 9 --screenshot $(DEMO)/trial.png
	touch $@

$(DEMO)/export/export.json: $(DEMO)/.simulated
	$(UNITSCOPE) export $(DEMO)/study --database sqlite:///$(DEMO)/answers.sqlite --out $(@D)

$(REPORT): $(DEMO)/export/export.json $(DEMO)/scores/scores.json
	$(UNITSCOPE) validate $(<D) $(DEMO)/scores --out $(@D) > /dev/null
