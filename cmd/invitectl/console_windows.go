package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// takesSequences says whether a terminal does what control sequences say. A
// console shows them as text unless it is told otherwise; an old one can't be.
func takesSequences(terminal *os.File) bool {
	console := windows.Handle(terminal.Fd())
	var mode uint32
	return windows.GetConsoleMode(console, &mode) == nil &&
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
