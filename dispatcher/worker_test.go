package dispatcher_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

var (
	simQuota  = []xblsim.Window{{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}}
	planQuota = []plan.Window{{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}}
)

func TestAnInteractiveJobIsSentAtOnceAndItsResultStored(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 20 * time.Millisecond}, func(t *testing.T, s *system) {
		s.work()
		pass(time.Second)
		j := s.publish(to("ada"), 3, func(j *queue.Job) { j.ID = "match-1" })
		pass(100 * time.Millisecond)
		require.Len(t, s.ended(), 1)
		r := s.ended()[0]
		assert.Equal(t, "match-1", r.ID)
		assert.Equal(t, 3, r.Sent)
		assert.Equal(t, 1, r.Attempts)
		assert.Less(t, r.EndedAt.Sub(r.PublishedAt), 50*time.Millisecond, "little more than the service's own 20 ms")
		assert.False(t, r.MaybeDuplicate)
		for _, u := range j.InvitedUsers {
			assert.Equal(t, 1, s.sim.Sent(title)[uint64(u)])
		}
		s.requireQueuesEmpty()
	})
}

func TestABacklogUsesTheRealQuotaAndIsNeverRefused(t *testing.T) {
	inFakeTime(t, xblsim.Options{Quota: simQuota, Latency: 50 * time.Millisecond}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = planQuota
		const possible, rest = windows * 50, 10 // calls: 50 in 300 s
		for range possible + rest {
			s.publish(campaign("cup", "finals"), 16)
		}
		s.work()
		pass(windows * 5 * time.Minute)
		ledger := s.sim.Ledger()
		assert.GreaterOrEqual(t, float64(ledger.Calls), 0.98*possible, "98 %% of the quota must be used")
		assert.Zero(t, ledger.Throttled, "and no call may be refused")
		pass(6 * time.Minute)
		assert.Equal(t, (possible+rest)*16, s.sim.Ledger().Unique)
		assert.Zero(t, s.sim.Ledger().Duplicates)
		s.requireQueuesEmpty()
	})
}

func TestAThrottleIsWaitedForExactlyAndCostsNoAttempt(t *testing.T) {
	quota := []xblsim.Window{{Max: 1, Per: 40 * time.Second}}
	inFakeTime(t, xblsim.Options{Quota: quota}, func(t *testing.T, s *system) {
		s.work() // knows of no quota
		s.publish(to("ada"), 1)
		pass(time.Second)
		s.publish(to("ada"), 1)
		s.publish(to("bob"), 1)
		pass(30 * time.Second)
		assert.Len(t, s.ended(), 2, "another sender is not held up")
		pass(time.Minute)
		require.Len(t, s.ended(), 3)
		last := s.ended()[2]
		assert.Equal(t, 1, last.Attempts)
		assert.InDelta(t, 39, last.EndedAt.Sub(last.PublishedAt).Seconds(), 0.5, "sent as the Retry-After ends")
		assert.Equal(t, xblsim.Ledger{Calls: 4, Throttled: 1, Recipients: 3, Unique: 3}, s.sim.Ledger())
	})
}

func TestALargeJobIsSentInFullCallsAndHasOneResult(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.work()
		s.publish(to("ada"), 1000)
		pass(time.Second)
		require.Len(t, s.ended(), 1, "one job has one result")
		assert.Equal(t, 1000, s.ended()[0].Sent)
		assert.Equal(t, 63, s.sim.Ledger().Calls)
		assert.Zero(t, s.sim.Ledger().Duplicates)
		s.requireQueuesEmpty()
	})
}

func TestARefusedRecipientIsADeadLetterAndTheOthersAreSent(t *testing.T) {
	refused := someone(1)[0]
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{RefusedXUIDs: []uint64{uint64(refused)}}}, func(t *testing.T, s *system) {
		s.work()
		s.publish(to("ada"), 16, func(j *queue.Job) { j.InvitedUsers[9] = refused; j.ConnectionString = "lobby=1" })
		pass(time.Second)
		require.Len(t, s.ended(), 1, "a job that is partly sent and partly dead has one result")
		r := s.ended()[0]
		assert.Equal(t, []any{15, 1, queue.Rejected}, []any{r.Sent, r.Dead, r.Reason})
		letters := s.deadLetters()
		require.Len(t, letters, 1)
		assert.Equal(t, "RequestValidationError", letters[0].ErrorCode)
		assert.Equal(t, 400, letters[0].Status)
		again, err := queue.DecodeJob(letters[0].Body)
		require.NoError(t, err)
		assert.Equal(t, queue.Job{InvitedUsers: []queue.XUID{refused}, ConnectionString: "lobby=1"}, again,
			"the job again, with only the recipient that was not sent")
	})
}

func TestWhatIsNoJobIsKeptByteForByte(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.work()
		for subject, body := range map[string]string{
			"invites.jobs.730.ada":             `{"invitedUsers":["12x"]}`,
			"invites.jobs.0730.ada":            `{"invitedUsers":["12"]}`,
			"invites.campaigns.730.cup.finals": "\xff\x00",
			"invites.campaigns.x.y.z":          ``,
		} {
			_, err := s.conn.Request(subject, []byte(body), time.Second)
			require.NoError(t, err)
			pass(5 * time.Second)
			letters := s.deadLetters()
			last := letters[len(letters)-1]
			assert.Equal(t, queue.Invalid, last.Reason, subject)
			assert.Equal(t, subject, last.Subject)
			assert.Equal(t, body, string(last.Body))
			assert.NotEmpty(t, last.Detail)
		}
		assert.Zero(t, s.sim.Ledger().Calls)
		s.requireQueuesEmpty()
	})
}

func TestAnExpiredJobIsADeadLetterAndCostsNoCall(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.publish(to("ada"), 1, func(j *queue.Job) { j.ExpiresAt = time.Now().Add(time.Minute) })
		s.publish(to("ada"), 1) // interactive: expires by itself
		s.publish(campaign("cup", "finals"), 1)
		pass(time.Hour)
		s.work()
		pass(10 * time.Second)
		reasons := map[queue.Reason]int{}
		for _, l := range s.deadLetters() {
			reasons[l.Reason]++
		}
		assert.Equal(t, map[queue.Reason]int{queue.Expired: 2}, reasons)
		assert.Equal(t, 1, s.sim.Ledger().Calls, "a bulk job without expiresAt never expires")
	})
}

func TestAnOutageLosesNothingAndSendingResumesWithinFiveSeconds(t *testing.T) {
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{Error500: 1}}, func(t *testing.T, s *system) {
		s.work()
		for range 100 {
			s.publish(campaign("cup", "finals"), 16)
		}
		const outage = windows * 5 * time.Minute
		pass(outage)
		assert.Empty(t, s.deadLetters(), "an outage is nobody's failure")
		assert.Less(t, s.sim.Ledger().Calls, int(outage/time.Second)/2, "and a dead API is not hammered")
		s.sim.SetFaults(xblsim.Faults{})
		pass(5 * time.Second)
		assert.NotEmpty(t, s.ended())
		pass(time.Minute)
		assert.Equal(t, xblsim.Ledger{Calls: s.sim.Ledger().Calls, Recipients: 1600, Unique: 1600}, s.sim.Ledger())
	})
}

func TestACallThatMayHaveBeenSentIsSentAgainAndSaysSo(t *testing.T) {
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{ResetAfter: 1}}, func(t *testing.T, s *system) {
		s.work()
		s.publish(to("ada"), 2)
		pass(500 * time.Millisecond)
		s.sim.SetFaults(xblsim.Faults{})
		pass(time.Minute)
		require.Len(t, s.ended(), 1)
		assert.True(t, s.ended()[0].MaybeDuplicate)
		assert.Equal(t, 2, s.sim.Ledger().Duplicates)
	})
}

func TestACallThatMayHaveBeenSentIsADeadLetterWhereThatIsAsked(t *testing.T) {
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{Slow: 1}}, func(t *testing.T, s *system) {
		s.cfg.Plan.DeadLetterAmbiguous = true
		s.work()
		s.publish(to("ada"), 2)
		pass(time.Minute)
		require.Len(t, s.deadLetters(), 1)
		assert.Equal(t, queue.Ambiguous, s.deadLetters()[0].Reason)
		assert.True(t, s.ended()[0].MaybeDuplicate || s.ended()[0].Dead == 2)
		assert.Equal(t, 1, s.sim.Ledger().Calls)
	})
}

func TestASenderWithoutATokenWaitsAndNobodyElse(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.InteractiveTTL = time.Hour
		s.setToken("ada", "")
		s.work()
		s.publish(to("ada"), 1)
		s.publish(to("bob"), 1)
		pass(10 * time.Minute)
		require.Len(t, s.ended(), 1)
		assert.Equal(t, "bob", s.ended()[0].Sender)
		s.setToken("ada", "XBL3.0 x=hash;fresh")
		pass(2 * time.Second)
		assert.Len(t, s.ended(), 2, "it goes on within 2 s of a good token")
		assert.Equal(t, 2, s.sim.Ledger().Calls, "and no call was spent without one")
		assert.Empty(t, s.deadLetters())
	})
}

func TestARefusedTokenWaitsForAnother(t *testing.T) {
	expired := "XBL3.0 x=hash;token-of-ada"
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{ExpiredTokens: []string{expired}}}, func(t *testing.T, s *system) {
		s.work()
		s.publish(to("ada"), 1)
		pass(50 * time.Second)
		assert.Equal(t, 1, s.sim.Ledger().Calls, "the same token is not tried again and again")
		s.setToken("ada", "XBL3.0 x=hash;fresh")
		pass(2 * time.Second)
		require.Len(t, s.ended(), 1)
		assert.Equal(t, 1, s.ended()[0].Attempts)
	})
}

func TestARollingRestartLosesNothingAndRepeatsNothing(t *testing.T) {
	inFakeTime(t, xblsim.Options{Quota: simQuota, Latency: time.Second}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 7, Per: 15 * time.Second}}
		s.cfg.InteractiveTTL = 24 * time.Hour
		for i := range 20 {
			s.publish(campaign("cup", "finals"), 16)
			s.publish(campaign("cup", "semis"), 40)
			s.publish(to("ada"), 2, func(j *queue.Job) { j.ConnectionString = strconv.Itoa(i) })
		}
		s.publish(to("bob"), 500)
		for range 20 {
			stop := s.work()
			pass(20500 * time.Millisecond) // in the middle of calls
			begun := time.Now()
			require.NoError(t, stop(), "the stop waits for the calls in flight")
			assert.Less(t, time.Since(begun), 2*time.Second)
		}
		s.work()
		pass(10 * time.Minute)
		assert.Len(t, s.ended(), 61)
		assert.Equal(t, 20*16+20*40+20*2+500, s.sim.Ledger().Unique)
		assert.Zero(t, s.sim.Ledger().Duplicates, "each stop was in order")
		assert.Empty(t, s.deadLetters())
		s.requireQueuesEmpty()
	})
}

func TestARestartForgetsNeitherTheQuotaUsedNorARetryAfter(t *testing.T) {
	inFakeTime(t, xblsim.Options{Quota: simQuota, Latency: 50 * time.Millisecond}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits = plan.Limits{Windows: planQuota, MaxInFlight: 1}
		for range 80 {
			s.publish(campaign("cup", "finals"), 16)
		}
		for range 30 { // a restart every ten seconds
			stop := s.work()
			pass(10 * time.Second)
			require.NoError(t, stop())
		}
		assert.Zero(t, s.sim.Ledger().Throttled, "no window is exceeded across restarts")
		assert.GreaterOrEqual(t, s.sim.Ledger().Calls, 45)

		s.sim.SetQuota([]xblsim.Window{{Max: 1, Per: 10 * time.Minute}}) // the game uses it up
		stop := s.work()
		pass(5 * time.Minute)
		require.NoError(t, stop())
		require.Equal(t, 1, s.sim.Ledger().Throttled)
		s.work()
		pass(4 * time.Minute)
		assert.Equal(t, 1, s.sim.Ledger().Throttled, "the Retry-After outlives the worker that was given it")
		assert.Zero(t, s.sim.Ledger().InBlock)
	})
}

func TestAStopThatTakesTooLongCutsCallsOffAndSaysWhatMayBeSentTwice(t *testing.T) {
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{Slow: 1, SlowBy: 9 * time.Second}}, func(t *testing.T, s *system) {
		s.cfg.Grace = time.Second
		stop := s.work()
		pass(time.Second)
		s.publish(to("ada"), 1)
		pass(time.Second)
		require.Error(t, stop(), "the error says that calls were cut off")
		s.sim.SetFaults(xblsim.Faults{})
		s.work()
		pass(time.Minute)
		require.Len(t, s.ended(), 1)
		assert.True(t, s.ended()[0].MaybeDuplicate)
		assert.Equal(t, 1, s.sim.Ledger().Duplicates)
	})
}

func TestInServerModeTheSenderIsTheInvitingUser(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.ServerAudience = true
		s.client.Audience = xbl.AudienceServer
		s.client.Tokens = xbl.Static("XBL3.0 x=-;service")
		s.work()
		s.publish(to("2533274790395904"), 1)
		s.publish(to("ada"), 1)
		pass(5 * time.Second)
		require.Len(t, s.deadLetters(), 1)
		assert.Equal(t, queue.Invalid, s.deadLetters()[0].Reason)
		calls := s.sim.Calls()
		require.Len(t, calls, 1)
		assert.Equal(t, uint64(2533274790395904), calls[0].Sender)
	})
}

func TestAnUnknownQuotaIsLearntFromTheServicesOwnNumbers(t *testing.T) {
	inFakeTime(t, xblsim.Options{
		Quota: simQuota, Latency: 50 * time.Millisecond,
		InFlightGrace: time.Millisecond, // several calls at once: one may be sent before the answer to another is seen
	}, func(t *testing.T, s *system) {
		for range 240 {
			s.publish(campaign("cup", "finals"), 16)
		}
		s.work() // no windows are configured
		pass(20 * time.Minute)
		ledger := s.sim.Ledger()
		assert.GreaterOrEqual(t, ledger.Calls-ledger.Throttled, 184, "92 %% of the 200 calls that 20 minutes allow")
		assert.LessOrEqual(t, ledger.Throttled, 8, "two windows are learnt, each from the calls in flight when it was hit")
		assert.Zero(t, ledger.InBlock)
		assert.Empty(t, s.deadLetters())
	})
}
