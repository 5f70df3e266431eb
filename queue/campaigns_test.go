package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func (f *fixture) consumers() (names []string) {
	f.Helper()
	s, err := f.js.Stream(f.Context(), "INVITE_CAMPAIGNS")
	require.NoError(f, err)
	list := s.ListConsumers(f.Context())
	for c := range list.Info() {
		require.Equal(f, c.Config.FilterSubject, c.Config.Description, "an operator sees the campaign")
		names = append(names, c.Name)
	}
	require.NoError(f, list.Err())
	return names
}

func TestACampaignIsDiscoveredWithinASecond(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		time.Sleep(10 * time.Second)
		for i := range 5 {
			began := time.Now()
			name := fmt.Sprint("campaign-", i)
			f.publish(queue.Address{TitleID: 9, Sender: "s", Campaign: name}, job(name))
			d := w.next()
			require.Less(t, time.Since(began), time.Second)
			require.Equal(t, queue.Bulk, d.Lane)
			require.Equal(t, name, d.Address.Campaign)
			require.Equal(t, "INVITE_CAMPAIGNS", d.Stream)
			time.Sleep(777 * time.Millisecond)
		}
		require.Len(t, f.consumers(), 5, "each has a consumer of its own")
	})
}

func TestACampaignThatIsOverIsRemovedAndFoundAgain(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for range 5 {
			f.publish(campaign, job("a"))
			d := w.next()
			time.Sleep(20 * time.Second)
			require.Len(t, f.consumers(), 1, "a campaign with a job in hand stays")
			require.NoError(t, d.Ack())
			time.Sleep(12 * time.Second)
			require.Empty(t, f.consumers(), "one that is over goes")
		}
	})
}

func TestNoJobIsMissedAroundARemoval(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for i := range 120 { // walks through the moment of removal in small steps
			f.publish(campaign, job(fmt.Sprint(i)))
			began := time.Now()
			d := w.next()
			require.Equal(t, fmt.Sprint(i), d.ID())
			require.Less(t, time.Since(began), 2*time.Second, "found soon, whether before or after the removal")
			require.NoError(t, d.Ack())
			time.Sleep(4*time.Second + time.Duration(i)*50*time.Millisecond)
		}
	})
}

func TestTwoWorkersShareCampaignsWithoutQuarrel(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		second := connect(t, f.server)
		second.open(queue.Options{})
		a, b := f.consume(), second.consume()
		for i := range 20 {
			f.publish(campaign, job(fmt.Sprint(i)))
			var d *queue.Delivery
			select {
			case d = <-a.deliveries:
			case d = <-b.deliveries:
			case <-time.After(10 * time.Second):
				require.FailNow(t, "a job did not come")
			}
			require.Equal(t, fmt.Sprint(i), d.ID(), "each job comes once, to one of them")
			require.NoError(t, d.Ack())
			time.Sleep(time.Duration(i) * 500 * time.Millisecond)
		}
		time.Sleep(30 * time.Second)
		require.Empty(t, f.consumers(), "neither creates again what the other removed")
		require.Zero(t, f.count("INVITE_CAMPAIGNS"))
	})
}

func TestAPausedCampaignStaysPaused(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(campaign, job("a"))
		require.NoError(t, w.next().Ack())
		name := f.consumers()[0]
		until := time.Now().Add(2 * time.Minute)
		_, err := f.js.PauseConsumer(t.Context(), "INVITE_CAMPAIGNS", name, until)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		w.stop()
		w = f.consume() // neither idleness nor a restart ends a pause
		f.publish(campaign, job("b"))
		w.none(45 * time.Second)
		require.Equal(t, "b", w.next().ID())
		require.WithinDuration(t, until, time.Now(), 2*time.Second)
	})
}

func TestManyCampaignsShareWhatAWorkerHasInHand(t *testing.T) {
	inFakeTime(t, queue.Options{CampaignMaxInHand: 100, CampaignsInHand: 200}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for n, want := range []int{100, 100, 66, 50, 40, 33, 32, 32} {
			a := queue.Address{TitleID: 100, Sender: "alice", Campaign: fmt.Sprint("cup-", n)}
			for i := range 101 {
				f.publish(a, job(fmt.Sprint(i)))
			}
			for range want {
				require.Equal(t, a, w.next().Address)
			}
			w.none(2 * time.Second)
		}
	})
}

func TestOneCampaignDoesNotFillAnothersWindow(t *testing.T) {
	inFakeTime(t, queue.Options{CampaignMaxInHand: 5}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for i := range 20 {
			f.publish(campaign, job(fmt.Sprint(i)))
		}
		for range 5 {
			w.next()
		}
		other := queue.Address{TitleID: 100, Sender: "alice", Campaign: "autumn"}
		f.publish(other, job("x"))
		require.Equal(t, "x", w.next().ID())
		f.publish(alice, job("y"))
		require.Equal(t, "y", w.next().ID())
	})
}
