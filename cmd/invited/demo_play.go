package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// playDemo carries out the script, shows how it goes, and checks what came of it.
func playDemo(ctx context.Context, out io.Writer, w *worker, sim *xblsim.Server, s *script) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoTime, errDemoTime)
	defer cancel()
	conn := w.conn
	reader, err := queue.NewReader(conn)
	if err != nil {
		return err
	}
	results, err := reader.WatchResults(ctx)
	if err != nil {
		return err
	}
	defer results.Stop()

	fmt.Fprintf(out, "%d jobs for %d recipients: a campaign, players who wait, and what goes wrong in between.\n",
		s.want.jobs, s.want.recipients)
	fmt.Fprintf(out, "The quota is %s for each sender; the campaign alone needs more than 25 calls.\n\n", showQuota(demoSimQuota))
	begun := time.Now()
	ownRecipients, err := useUpQuota(ctx, w.cfg.XBL.BaseURL)
	if err != nil {
		return err
	}
	if err := s.publish(ctx, conn); err != nil {
		return err
	}

	bar := newProgress(out, s.want.recipients)
	got := tally{dead: make(map[queue.Reason]int)}
	for got.jobs < s.want.jobs {
		r, err := results.Next(ctx)
		if err != nil {
			bar.close()
			return fmt.Errorf("%d of %d jobs ended: %w", got.jobs, s.want.jobs, cause(ctx, err))
		}
		got.jobs++
		got.sent += r.Sent
		got.recipients += r.Sent + r.Dead
		bar.set(got.recipients, fmt.Sprintf("%d sent, %d dead", got.sent, got.recipients-got.sent))
	}
	bar.close()
	took := time.Since(begun)

	letters, err := deadLetters(ctx, reader, got.dead)
	if err != nil {
		return err
	}
	report := newReport(s, got, sim, ownRecipients, took)
	report.write(out, letters)
	return report.verdict(out)
}

var errDemoTime = errors.New("the demo took longer than " + demoTime.String())

func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// deadLetters reads the stored dead letters, as an operator would, and counts them by reason.
func deadLetters(ctx context.Context, reader *queue.Reader, count map[queue.Reason]int) ([]queue.DeadLetter, error) {
	var letters []queue.DeadLetter
	for letter, err := range reader.DeadLetters(ctx, queue.Filter{}) {
		if err != nil {
			return nil, err
		}
		letters = append(letters, letter)
		count[letter.Reason]++
	}
	return letters, nil
}
