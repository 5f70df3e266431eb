package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// canAsk says whether somebody sits at a terminal who could answer.
func (t *tool) canAsk(in io.Reader) bool { return terminal(in) != nil && terminal(t.errOut) != nil }

// ask puts a question to whoever sits there, and says whether the answer is yes.
func (t *tool) ask(ctx context.Context, in io.Reader, question string) bool {
	fmt.Fprint(t.errOut, question+" [y/N] ")
	answer := make(chan string, 1)
	go func() { // a read from a terminal can't be stopped; it ends with the process
		line, _ := bufio.NewReader(in).ReadString('\n') // without an answer it is no
		answer <- line
	}()
	line := ""
	select {
	case line = <-answer:
	case <-ctx.Done():
	}
	if !strings.HasSuffix(line, "\n") { // nobody has pressed Enter
		fmt.Fprintln(t.errOut)
	}
	yes := strings.ToLower(strings.TrimSpace(line))
	return yes == "y" || yes == "yes"
}
