package rules

import "strings"

var importBreaches = []breach{
	{
		name: "a leaf knows the other leaf", check: importsRunDownward, path: "queue/a.go",
		text: "package queue\nimport _ \"example.com/x/xbl\"\n", want: "queue/a.go:2: queue must not know xbl",
	},
	{
		name: "a leaf knows who is above", check: importsRunDownward, path: "xbl/internal/wire/a.go",
		text: "package wire\nimport _ \"example.com/x/dispatcher\"\n", want: "xbl must not know dispatcher",
	},
	{
		name: "the oracle shares the client's code", check: importsRunDownward, path: "xbl/xblsim/a_test.go",
		text: "package xblsim\nimport _ \"example.com/x/xbl\"\n", want: "xbl/xblsim must not know xbl",
	},
	{
		name: "shipped code uses a test's server", check: importsRunDownward, path: "dispatcher/a.go",
		text: "package dispatcher\nimport _ \"example.com/x/queue/embedded\"\n", want: "dispatcher must not know queue/embedded",
	},
	{
		name: "a test uses a test's server", check: importsRunDownward, path: "dispatcher/a_test.go",
		text: "package dispatcher\nimport _ \"example.com/x/queue/embedded\"\n",
	},
	{
		name: "a layer knows itself", check: importsRunDownward, path: "queue/a.go",
		text: "package queue\nimport _ \"example.com/x/queue/internal/wire\"\n",
	},
	{
		name: "a folder outside the diagram", check: importsRunDownward, path: "helpers/a.go",
		text: "package helpers\n", want: "belongs to no layer",
	},
	{
		name: "JetStream outside queue", check: librariesStayPut, path: "dispatcher/a_test.go",
		text: "package dispatcher\nimport _ \"github.com/nats-io/nats.go/jetstream\"\n",
		want: "dispatcher must not use github.com/nats-io/nats.go/jetstream: only queue, queue/embedded may",
	},
	{
		name: "a test's connection", check: librariesStayPut, path: "dispatcher/a_test.go",
		text: "package dispatcher\nimport _ \"github.com/nats-io/nats.go\"\n",
	},
	{
		name: "status codes above the client", check: librariesStayPut, path: "dispatcher/a.go",
		text: "package dispatcher\nimport _ \"net/http\"\n", want: "dispatcher must not use net/http: only xbl",
	},
	{
		name: "a test library in the binary", check: librariesStayPut, path: "queue/a.go",
		text: "package queue\nimport _ \"github.com/stretchr/testify/require\"\n", want: "queue must not use github.com/stretchr/testify: only tests may",
	},
	{
		name: "a command starts a test's processes", check: testSupportStaysInTests, path: "cmd/invited/a.go",
		text: "package main\nimport _ \"example.com/x/cmd/internal/harness\"\n", want: "cmd/invited/a.go:2: cmd/internal/harness is for tests",
	},
	{
		name: "a test starts processes", check: testSupportStaysInTests, path: "cmd/invited/a_test.go",
		text: "package main\nimport _ \"example.com/x/cmd/internal/harness\"\n",
	},
	{
		name: "test support uses test support", check: testSupportStaysInTests, path: "cmd/internal/harness/a.go",
		text: "package harness\nimport _ \"example.com/x/queue/embedded/embeddedtest\"\n",
	},
}

var pureBreaches = []breach{
	{
		name: "the core asks the clock", check: coreIsPure, path: "dispatcher/plan/a.go",
		text: "package plan\nimport clock \"time\"\nvar f = clock.Now\n", want: "a.go:3: the core must not use time.Now",
	},
	{
		name: "the core locks", check: coreIsPure, path: "dispatcher/plan/deep/a.go",
		text: "package deep\nimport _ \"sync/atomic\"\n", want: "must not import sync/atomic",
	},
	{
		name: "the core starts a goroutine", check: coreIsPure, path: "dispatcher/plan/a.go",
		text: "package plan\nfunc f() {\n\tgo f()\n}\n", want: "a.go:3: the core must not start goroutines",
	},
	{
		name: "the core computes with times", check: coreIsPure, path: "dispatcher/plan/a.go",
		text: "package plan\nimport \"time\"\nfunc f(now time.Time) time.Time { return now.Add(time.Second) }\n",
	},
	{
		name: "the shell asks the clock", check: coreIsPure, path: "dispatcher/a.go",
		text: "package dispatcher\nimport \"time\"\nvar f = time.Now\n",
	},
}

var docBreaches = []breach{
	{
		name: "a package without a word", check: packagesTeach, path: "queue/a.go",
		text: "package queue\n", want: "queue/doc.go:1: the package comment has 0 characters",
	},
	{
		name: "a package with a slogan", check: packagesTeach, path: "queue/doc.go",
		text: "// Package queue queues.\npackage queue\n", want: "characters; a newcomer needs at least 200",
	},
	{
		name: "a package that teaches", check: packagesTeach, path: "queue/doc.go",
		text: "// Package queue " + strings.Repeat("says what it is for. ", 10) + "\npackage queue\n",
	},
	{
		name: "an exported method without a comment", check: exportedNamesAreDocumented, path: "queue/a.go",
		text: "package queue\n\n// Q is one.\ntype Q[T any] struct{}\n\nfunc (q *Q[T]) Do() {}\n", want: "a.go:6: Do is exported",
	},
	{
		name: "an exported constant without a comment", check: exportedNamesAreDocumented, path: "queue/a.go",
		text: "package queue\n\nconst Max = 1\n", want: "a.go:3: Max is exported",
	},
	{
		name: "what explains itself", check: exportedNamesAreDocumented, path: "queue/a.go",
		text: "package queue\n\ntype q struct{}\n\nfunc (q) Do() {}\n\n// K is one.\ntype K int\n\nfunc (K) String() string { return \"\" }\n" +
			"\n// The kinds.\nconst (\n\tA K = iota\n\tB\n)\n\nconst (\n\tC K = 2 // see A\n)\n",
	},
}

var waitingBreaches = []breach{
	{
		name: "shipped code sleeps", check: nothingSleeps, path: "queue/a.go",
		text: "package queue\nimport \"time\"\nfunc f() { time.Sleep(1) }\n", want: "a.go:3: time.Sleep can't be stopped",
	},
	{
		name: "a test sleeps beside a bubble", check: nothingSleeps, path: "queue/a_test.go",
		text: "package queue\nimport (\n\"testing\"\n\"testing/synctest\"\n\"time\"\n)\nfunc TestA(t *testing.T) {\n" +
			"synctest.Test(t, func(t *testing.T) { time.Sleep(1) })\ntime.Sleep(2)\n}\n",
		want: "a_test.go:9: time.Sleep outside a synctest bubble",
	},
	{
		name: "sleeps in a bubble that a helper opens", check: nothingSleeps, path: "queue/a_test.go",
		text: "package queue\nimport (\n\"testing\"\n\"testing/synctest\"\n\"time\"\n)\n" +
			"func fake(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }\n" +
			"func TestA(t *testing.T) { fake(t, func(*testing.T) { time.Sleep(1) }) }\n" +
			"// later runs in a bubble.\nfunc later() { time.Sleep(1) }\n",
	},
	{
		name: "a skipped test", check: nothingIsSkipped, path: "queue/a_test.go",
		text: "package queue\nimport \"testing\"\nfunc TestA(t *testing.T) {\n\tt.Skip(\"later\")\n}\n", want: "a_test.go:4: a skipped test",
	},
	{
		name: "a discarded draw", check: nothingIsSkipped, path: "queue/a_test.go",
		text: "package queue\nimport (\n\"testing\"\n\"pgregory.net/rapid\"\n)\n" +
			"func TestA(t *testing.T) { rapid.Check(t, func(t *rapid.T) { t.Skip() }) }\n",
	},
}

var stateBreaches = []breach{
	{
		name: "an init function", check: nothingRunsAtImport, path: "queue/a.go",
		text: "package queue\nfunc init() {}\n", want: "a.go:2: no init functions",
	},
	{
		name: "a variable without a value", check: noHiddenState, path: "queue/a.go",
		text: "package queue\nvar count int\n", want: "package variable count has no value",
	},
	{
		name: "a table that is written to", check: noHiddenState, path: "queue/a.go",
		text: "package queue\nvar table = map[string]int{}\nfunc f() { table[\"a\"]++ }\n", want: "package variable table is written to",
	},
	{
		name: "a cache", check: noHiddenState, path: "queue/a.go",
		text: "package queue\nvar cache = make(map[string]int)\n", want: "package variable cache holds something that can change",
	},
	{
		name: "a lock", check: noHiddenState, path: "queue/a.go",
		text: "package queue\nimport \"sync\"\nvar mu = sync.Mutex{}\n", want: "package variable mu holds something that can change",
	},
	{
		name: "a thing that a call made", check: noHiddenState, path: "queue/a.go",
		text: "package queue\nvar pool = newPool()\nfunc newPool() int { return 1 }\n", want: "package variable pool holds something",
	},
	{
		name: "a version for the linker", check: noHiddenState, path: "cmd/invited/a.go",
		text: "package main\n\n// version is set with -ldflags \"-X main.version=v1.2.3\".\nvar version string\n",
	},
	{
		name: "a linker's comment on something else", check: noHiddenState, path: "cmd/invited/a.go",
		text: "package main\n\n// count is not set with -X main.version=v1.2.3.\nvar count string\n", want: "package variable count has no value",
	},
	{
		name: "an exported table", check: noHiddenState, path: "queue/a.go",
		text: "package queue\nvar Reasons = []string{\"invalid\"}\n", want: "package variable Reasons is exported",
	},
	{
		name: "constants that the language can't spell", check: noHiddenState, path: "queue/a.go",
		text: "package queue\nimport (\n_ \"embed\"\n\"errors\"\n\"fmt\"\n\"regexp\"\n)\n" +
			"var ErrFull = errors.New(\"full\")\nvar name = regexp.MustCompile(`^a`)\nvar _ fmt.Stringer = (*Q)(nil)\n" +
			"var table = map[string][]byte{\"a\": []byte(\"b\")}\nvar kind = Kind(\"k\")\n" +
			"var errLate = errors.New(\"after \" + limit.String())\ntype Kind string\n" +
			"//go:embed page.html\nvar page string\nfunc f() { table := table; _ = table }\n",
	},
}

var layoutBreaches = []breach{
	{
		name: "a new folder at the top", check: topLevelIsTheDiagram, path: "pkg/a.txt",
		text: "", want: "pkg: the top level has only",
	},
	{
		name: "a tool's setting at the top", check: topLevelIsTheDiagram, path: ".editorconfig",
	},
	{
		name: "a long file", check: filesStayReadable, path: "queue/a.go",
		text: "package queue\n" + strings.Repeat("\n", maxLines), want: "queue/a.go:501: longer than 500 lines",
	},
	{
		name: "a path of one machine", check: noTraceOfOneMachine, path: "README.md",
		text: "first\nsee (" + "/ho" + "me/ann/x)\n", want: "README.md:2:",
	},
	{
		name: "a host that packages come from", check: noTraceOfOneMachine, path: ".ci/run",
		text: "GOPROXY=https://proxy" + ".golang.org\n", want: ".ci/run:1:",
	},
	{
		name: "a page on the web", check: noTraceOfOneMachine, path: "README.md",
		text: "https://example.com/home/x and ./wo" + "rk/x and $HOME/wo" + "rk/x and ${DIR}/wo" + "rk/x\n",
	},
	{
		name: "a dependency without a reason", check: dependenciesAreExplained, path: "docs/dependencies.md",
		text: "# Dependencies\n", want: "example.com/lib has no section",
	},
	{
		name: "a reason without a dependency", check: dependenciesAreExplained, path: "docs/dependencies.md",
		text: "### `example.com/lib`\n\n### `example.com/old`\n", want: "explains example.com/old",
	},
}
