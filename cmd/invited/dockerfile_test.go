package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dockerfile is deploy/docker/Dockerfile, by its stages.
type dockerfile struct{ stages []imageStage }

type imageStage struct {
	name, from string
	lines      []instruction
}

type instruction struct{ keyword, rest string }

func readDockerfile(t *testing.T) *dockerfile {
	t.Helper()
	text, err := os.ReadFile(inDeploy("docker/Dockerfile"))
	require.NoError(t, err)
	uncommented := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(text), "")
	joined := regexp.MustCompile(`\\\n\s*`).ReplaceAllString(uncommented, "")
	d := &dockerfile{}
	for line := range strings.Lines(joined) {
		keyword, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if from := regexp.MustCompile(`^(?:--platform=\S+ )?(\S+) AS (\w+)$`).FindStringSubmatch(rest); keyword == "FROM" {
			require.NotNil(t, from, "%s: each stage has a name", line)
			d.stages = append(d.stages, imageStage{name: from[2], from: from[1]})
		} else if keyword != "" && len(d.stages) > 0 {
			s := &d.stages[len(d.stages)-1]
			s.lines = append(s.lines, instruction{keyword, rest})
		}
	}
	return d
}

// stage finds one by its name; nil: there is none.
func (d *dockerfile) stage(name string) *imageStage {
	if i := slices.IndexFunc(d.stages, func(s imageStage) bool { return s.name == name }); i >= 0 {
		return &d.stages[i]
	}
	return nil
}

// last is what the last line with a keyword says, in a stage or in those that it is made from.
func (d *dockerfile) last(name, keyword string) (rest string) {
	s := d.stage(name)
	if s == nil {
		return ""
	}
	rest = d.last(s.from, keyword)
	for _, line := range s.lines {
		if line.keyword == keyword {
			rest = line.rest
		}
	}
	return rest
}

// base is the image that a stage is made from in the end.
func (d *dockerfile) base(name string) string {
	for s := d.stage(name); s != nil; s = d.stage(name) {
		name = s.from
	}
	return name
}

// keywords are those of a stage, and of those that it is made from.
func (d *dockerfile) keywords(name string) (all []string) {
	for s := d.stage(name); s != nil; s = d.stage(s.from) {
		for _, line := range s.lines {
			all = append(all, line.keyword)
		}
	}
	return all
}

// buildCommand is the one that makes the programs.
func (d *dockerfile) buildCommand(t *testing.T) string {
	t.Helper()
	command := d.last("build", "RUN")
	require.Contains(t, command, " go build ")
	return command
}

// words reads the form of a command that needs no shell.
func words(t *testing.T, command string) (all []string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(command), &all), "%s must be a list: there is no shell", command)
	return all
}
