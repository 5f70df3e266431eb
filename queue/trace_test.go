package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func (f *fixture) trace(q queue.JobQuery, most int) queue.JobTrace {
	f.Helper()
	t, err := f.reader.TraceJob(f.Context(), q, most)
	require.NoError(f, err)
	return t
}

func TestAJobIsTracedFromItsQueueToItsEnd(t *testing.T) {
	for name, id := range map[string]string{"by its own id": `mine "ü"`, "by its sequence": ""} {
		for lane, to := range map[string]queue.Address{"interactive": alice, "campaign": campaign} {
			t.Run(name+" "+lane, func(t *testing.T) {
				inFakeTime(t, queue.Options{Partitions: 4}, func(t *testing.T, f *fixture) {
					j := job(id, 5, 6, 7)
					receipt := f.publish(to, j)
					q := queue.JobQuery{ID: id}
					if id == "" {
						q.ID = fmt.Sprintf("%s:%d", receipt.Stream, receipt.Sequence)
					}
					waiting := f.trace(q, 100).Waiting
					require.NotNil(t, waiting)
					assert.Equal(t, to, waiting.Address)
					assert.Equal(t, 3, waiting.Recipients)
					assert.False(t, waiting.Delivered, "nobody has it")
					assert.Equal(t, queue.PartitionOf(to, 4), waiting.Partition)

					w := f.consume()
					d := w.next()
					f.save(d, queue.Progress{Ended: []bool{true}, Sent: 1, Attempts: 1})
					waiting = f.trace(q, 100).Waiting
					require.NotNil(t, waiting)
					assert.True(t, waiting.Delivered)
					assert.Equal(t, []int{1, 0, 1}, []int{waiting.Sent, waiting.Dead, waiting.Attempts})

					f.settle(d, queue.Ending{
						Sent: 1, Attempts: 2, EndedAt: time.Now(),
						Dead: []queue.Dead{{Reason: queue.Rejected, Detail: "no", Recipients: j.InvitedUsers[1:]}},
					})
					f.eventually(d.Stream, 0)
					ended := f.trace(q, 100)
					assert.Nil(t, ended.Waiting)
					require.NotNil(t, ended.Result)
					assert.Equal(t, []int{1, 2, 2}, []int{ended.Result.Sent, ended.Result.Dead, ended.Result.Attempts})
					require.Len(t, ended.Letters, 1)
					assert.Equal(t, d.ID(), ended.Letters[0].JobID)
				})
			})
		}
	}
}

func TestASearchIsBoundedAndGoesOnWhereItEnded(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for range 100 {
			f.publish(alice, job("", 5))
			f.settle(w.next(), queue.Ending{Sent: 1, EndedAt: time.Now()})
		}
		q, steps := queue.JobQuery{ID: "INVITES:3"}, 0
		trace := f.trace(q, 20)
		for ; trace.Result == nil; trace = f.trace(q, 20) {
			require.NotNil(t, trace.Next, "the search is not over")
			require.LessOrEqual(t, trace.Looked, 20+32, "the messages of a step are looked at together")
			q.From = *trace.Next
			steps++
		}
		assert.Greater(t, steps, 1)
		assert.Equal(t, "INVITES:3", trace.Result.ID)

		none := f.trace(queue.JobQuery{ID: "nobody's"}, 1000)
		assert.Nil(t, none.Result)
		assert.Nil(t, none.Next, "all was looked at")
		title := uint32(1)
		assert.Zero(t, f.trace(queue.JobQuery{ID: "nobody's", TitleID: &title}, 1000).Looked, "of another title nothing is")
		_, err := f.reader.TraceJob(t.Context(), queue.JobQuery{}, 1)
		require.ErrorIs(t, err, queue.ErrJobID)
	})
}
