// Package cli is what the project's commands have in common: signals, exit
// statuses, and how errors are told to a person at a terminal.
//
//	func main() { cli.Main(newCommand) }
//
// A command returns [Usagef] for what its user can mend (status 2, with a
// pointer to --help), any other error for what failed (status 1), and
// [ErrSilent] when it has told what failed already. Text that came from
// somebody else's message goes through [Printable] before it is shown.
package cli
