package rules

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rule reads a repository and answers what is wrong with it, one line per finding.
type rule func(*tree) []string

func TestTheRepositoryKeepsItsRules(t *testing.T) {
	repository := load(t, os.DirFS("../../.."), gitIgnored(t))
	require.Contains(t, repository.files, ".ci/run", "the rules have to see the repository from its top")

	for name, check := range map[string]rule{
		"imports run downward":                  importsRunDownward,
		"each library is used in its own place": librariesStayPut,
		"what is for tests stays in tests":      testSupportStaysInTests,
		"the core is pure":                      coreIsPure,
		"packages teach what they are for":      packagesTeach,
		"exported names are documented":         exportedNamesAreDocumented,
		"nothing sleeps":                        nothingSleeps,
		"no test is skipped":                    nothingIsSkipped,
		"nothing runs at import":                nothingRunsAtImport,
		"no package variable can change":        noHiddenState,
		"the top level is the diagram":          topLevelIsTheDiagram,
		"files stay readable":                   filesStayReadable,
		"no file knows one machine":             noTraceOfOneMachine,
		"dependencies are explained":            dependenciesAreExplained,
		"pages name real tests":                 pagesNameRealTests,
		"fuzz targets are listed":               fuzzTargetsAreListed,
		"the gate runs what the README says":    theGateRunsWhatTheReadmeSays,
	} {
		t.Run(name, func(t *testing.T) {
			for _, finding := range check(repository) {
				t.Error(finding)
			}
		})
	}
}

// gitIgnored lists what git leaves out: a developer's binaries and data are not the repository. Outside a git checkout (a source
// archive) there is nothing of that kind.
func gitIgnored(t *testing.T) map[string]bool {
	t.Helper()
	// A checkout that belongs to another user, as on many CI machines, is fine to read.
	list := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*",
		"ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
	list.Dir = "../../.."
	out, err := list.Output()
	if err != nil {
		t.Logf("no git checkout here, so every file counts: %v", err)
		return nil
	}
	ignored := map[string]bool{}
	for name := range strings.SplitSeq(string(out), "\x00") {
		ignored[strings.TrimSuffix(name, "/")] = true
	}
	return ignored
}

// breach is a small repository that breaks one rule, and what the rule has to say about it.
type breach struct {
	name  string
	check rule
	path  string
	text  string
	want  string // a part of the one finding; empty: none
}

func TestEachRuleSeesItsBreachAndNothingElse(t *testing.T) {
	var breaches []breach
	for _, group := range [][]breach{importBreaches, pureBreaches, docBreaches, waitingBreaches, stateBreaches, layoutBreaches, pageBreaches} {
		breaches = append(breaches, group...)
	}
	for _, b := range breaches {
		t.Run(b.name, func(t *testing.T) {
			small := fstest.MapFS{
				"go.mod": {Data: []byte("module example.com/x\n\nrequire example.com/lib v1.0.0\n")},
				b.path:   {Data: []byte(b.text)},
			}
			findings := b.check(load(t, small, nil))
			if b.want == "" {
				assert.Empty(t, findings, "the rule must let this pass:\n%s", b.text)
				return
			}
			require.Len(t, findings, 1, "the rule must see exactly one breach in:\n%s", b.text)
			assert.Contains(t, findings[0], b.want)
		})
	}
}
