//go:build !windows

package main

import "os"

// takesSequences says whether a terminal does what control sequences say.
func takesSequences(*os.File) bool { return os.Getenv("TERM") != "dumb" }
