// Package rules holds the rules of the house that a compiler does not: what a reviewer would otherwise have to remember.
//
// There is nothing to call here. The rules are tests; they read the whole repository as text and syntax and run with
// every go test ./... Each rule is one file: a table at its top says what is allowed, and why, and the check stands below it.
//
//   - imports_test.go: imports run downward, and each library is used in one place only
//   - pure_test.go: the core decides from the values it is given and never asks a clock, a socket or a goroutine
//   - docs_test.go: every package teaches what it is for, and every exported name says what it does
//   - waiting_test.go: nothing sleeps outside fake time, and no test is skipped
//   - state_test.go: no init functions, no package variable that can change
//   - tree_test.go and layout_test.go: what lies at the top level, how long a file may be, no trace of one machine
//   - dependencies_test.go: every direct dependency is explained in docs/dependencies.md
//
// A rule that fails names the file, the line and the way out. When a rule is wrong for a new case, change its table in the same
// commit and say why there: the tables are the documentation. rules_test.go runs the rules on this repository, and also on
// small broken ones, so that no rule can go blind.
package rules
