package console

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// chart is a drawing of curves over the last minutes, made here: a browser without JavaScript shows it too.
type chart struct {
	Title   string
	Curves  []curve
	Lines   []gridLine // across, from 0 up
	Marks   []timeMark
	Summary string // in words, for who can't see it
}

type curve struct {
	Name  string
	Class string // its colour
	Path  string // of the curve
	Area  string // below it
	Last  string // its value now
}

type gridLine struct {
	Y     float64
	Label string
}

type timeMark struct {
	X     float64
	Label string
}

// The size of a chart's drawing, in its own units. It is scaled to its place.
const (
	chartWidth  = 560
	chartHeight = 120
	chartTop    = 8
)

// point is a value at a moment; not a number: it is not known.
type point struct {
	at    time.Time
	value float64
}

// line is a curve before it is drawn.
type line struct {
	name, class string
	points      []point
}

// draw draws lines over the last minutes.
func draw(title, unit string, now time.Time, show func(float64) string, lines ...line) chart {
	c := drawOver(title, unit, now.Add(-keptFor), now, show, lines...)
	c.Marks = nil
	for m := 15; m >= 0; m -= 5 {
		label := fmt.Sprintf("−%d min", m)
		if m == 0 {
			label = "now"
		}
		c.Marks = append(c.Marks, timeMark{chartWidth * (1 - float64(m)/keptFor.Minutes()), label})
	}
	c.Summary = strings.Replace(c.Summary, ":", " over the last 15 minutes:", 1)
	return c
}

// drawOver draws lines from one moment to another.
func drawOver(title, unit string, from, to time.Time, show func(float64) string, lines ...line) chart {
	c := chart{Title: title}
	highest := 0.0
	for _, l := range lines {
		for _, p := range l.points {
			if !math.IsNaN(p.value) && !p.at.Before(from) {
				highest = max(highest, p.value)
			}
		}
	}
	top, step := scale(highest)
	y := func(v float64) float64 { return chartTop + (chartHeight-chartTop)*(1-v/top) }
	whole := max(to.Sub(from).Seconds(), 1)
	x := func(at time.Time) float64 { return min(max(chartWidth*(at.Sub(from).Seconds()/whole), 0), chartWidth) }
	for v := 0.0; v <= top*1.0001; v += step {
		c.Lines = append(c.Lines, gridLine{y(v), show(v)})
	}
	for part := range 4 {
		at := float64(part) / 3
		c.Marks = append(c.Marks, timeMark{chartWidth * at, "+" + span(time.Duration(at*float64(to.Sub(from))))})
	}
	var said []string
	for _, l := range lines {
		path, area, last := trace(l.points, x, y)
		shown := "not known"
		if !math.IsNaN(last) {
			shown = show(last) + unit
		}
		c.Curves = append(c.Curves, curve{l.name, l.class, path, area, shown})
		said = append(said, l.name+" "+shown)
	}
	c.Summary = fmt.Sprintf("%s: %s at the end, %s%s at the highest.", title, strings.Join(said, ", "), show(highest), unit)
	return c
}

// trace writes the path of a curve, with gaps where nothing is known.
func trace(points []point, x func(time.Time) float64, y func(float64) float64) (path, area string, last float64) {
	var p, a strings.Builder
	last = math.NaN()
	begun := math.NaN()
	end := func(at float64) {
		if !math.IsNaN(begun) {
			fmt.Fprintf(&a, "L%.1f %.1fL%.1f %.1fZ", at, y(0), begun, y(0))
		}
		begun = math.NaN()
	}
	before := 0.0
	for _, point := range points {
		last = point.value
		if math.IsNaN(point.value) {
			end(before)
			continue
		}
		verb := "L"
		at := x(point.at)
		if math.IsNaN(begun) {
			verb, begun = "M", at
		}
		fmt.Fprintf(&p, "%s%.1f %.1f", verb, at, y(point.value))
		fmt.Fprintf(&a, "%s%.1f %.1f", verb, at, y(point.value))
		before = at
	}
	end(before)
	return p.String(), a.String(), last
}

// scale is where a chart ends above, and how far apart its lines are: two to four of them, at round numbers.
func scale(highest float64) (top, step float64) {
	if highest <= 0 {
		return 1, 1
	}
	step = math.Pow(10, math.Floor(math.Log10(highest)))
	for _, factor := range []float64{0.25, 0.5, 1, 2, 5} {
		if n := math.Ceil(highest / (step * factor)); n <= 4 {
			return n * step * factor, step * factor
		}
	}
	return math.Ceil(highest/(10*step)) * 10 * step, 10 * step
}
