package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/queue"
)

func TestABlockIsDrawnOverWhatTheTerminalHasMadeOfTheLastOne(t *testing.T) {
	var out bytes.Buffer
	width, height := 60, 24
	s := &screen{out: &out, size: func() (int, int) { return width, height }}
	draw := func(lines ...string) string {
		out.Reset()
		require.NoError(t, s.draw(style{}, func(int) (b []line) {
			for _, l := range lines {
				b = append(b, line{{l, plain}})
			}
			return b
		}))
		return out.String()
	}
	long := strings.Repeat("x", 50)
	assert.Equal(t, "\r"+long+"\x1b[K\n\rshort\x1b[K\n\x1b[J", draw(long, "short"))
	assert.True(t, strings.HasPrefix(draw(long, "short"), "\x1b[2A\r"), "two lines up")
	width = 30
	assert.True(t, strings.HasPrefix(draw(long, "short"), "\x1b[3A\r"), "the long one was broken in two")
	height = 2
	assert.Equal(t, "\x1b[1A\r"+long[:29]+"\x1b[K\n\x1b[J", draw(long, "short"), "no further than the screen is high")
}

func TestNoLineIsWiderThanThereIsRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		many := rapid.IntRange(0, 10_000_000)
		s := queue.CampaignStatus{
			Address: queue.Address{TitleID: 4294967295, Sender: strings.Repeat("s", 64), Campaign: strings.Repeat("c", 64)},
			State:   queue.CampaignSending, Ordered: rapid.Bool().Draw(t, "ordered"), Sent: many.Draw(t, "sent"), Left: many.Draw(t, "left"),
			Dead: map[queue.Reason]int{queue.Rejected: many.Draw(t, "rejected"), queue.Expired: 1},
		}
		s.Recipients = s.Sent + s.Left + s.DeadRecipients()
		width := rapid.IntRange(1, 100).Draw(t, "width")
		tool := &tool{}
		for _, l := range append(tool.block(s, queue.Forecast{Basis: queue.ByQuota, Calls: 1000, Least: time.Hour}, width), uploadBlock(queue.Upload{Recipients: s.Recipients, Stored: s.Sent}, 1e6, width)...) {
			text, used := l.fit(width, style{})
			require.LessOrEqual(t, used, width)
			require.Equal(t, used, utf8.RuneCountInString(text))
			painted, _ := l.fit(width, style{on: true})
			require.Equal(t, text, sgr.ReplaceAllString(painted, ""), "colours change nothing else")
		}
	})
}

func TestABarIsFullOnlyAtTheEnd(t *testing.T) {
	assert.Equal(t, "[..........]   0.0 %", drawBar(0, 1000, 20))
	assert.Equal(t, "[#########.] >99.9 %", drawBar(99_999, 100_000, 20))
	assert.Equal(t, "[##########] 100.0 %", drawBar(1000, 1000, 20))
	assert.Equal(t, "50.0 %", drawBar(1, 2, 10), "without room the figure alone is left")
}

func TestColumnsAreAlignedWhateverTheirColours(t *testing.T) {
	list := table{head: []string{"NAME", "N", "EMPTY", "LAST"}, right: []bool{1: true, 3: false}}
	list.add(cell{text: "a"}, cell{"1,000", red}, cell{}, cell{text: "x"})
	list.add(cell{"longer", green}, cell{text: "7"}, cell{}, cell{})
	var plainText, painted bytes.Buffer
	require.NoError(t, list.write(&plainText, style{}))
	require.NoError(t, list.write(&painted, style{on: true}))
	assert.Equal(t, "NAME        N  LAST\na       1,000  x\nlonger      7\n", plainText.String())
	assert.Equal(t, plainText.String(), sgr.ReplaceAllString(painted.String(), ""))
	assert.Contains(t, painted.String(), "\x1b[31m1,000\x1b[0m")
}
