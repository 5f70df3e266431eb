package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// CampaignOrder is what a campaign's jobs have in common.
type CampaignOrder struct {
	Address          Address   // with a campaign
	ConnectionString string    // as in Job
	Platform         string    // as in Job
	ExpiresAt        time.Time // as in Job

	// What a new campaign begins with; see CampaignTerms. Zero, where it is gone on with: as it is.
	StartAt time.Time
	Rate    float64
}

// job is one of the campaign's jobs, without its recipients and its name.
func (o CampaignOrder) job() Job {
	return Job{ConnectionString: o.ConnectionString, Platform: o.Platform, ExpiresAt: o.ExpiresAt.UTC()}
}

// Validate says whether jobs can be made of it, whoever the recipients are: an
// *AddressError, a *JobError or ErrRate if not.
func (o CampaignOrder) Validate() error {
	one := new(Recipients)
	one.Add(1)
	return o.validate(one)
}

func (o CampaignOrder) validate(r *Recipients) error {
	if err := o.Address.Validate(); err != nil {
		return err
	}
	if o.Address.Campaign == "" {
		return &AddressError{"campaign", "", "is missing: a campaign has a name"}
	}
	if o.Address.Campaign == "-" {
		return &AddressError{"campaign", "-", "is how results say that there is none; choose another name"}
	}
	if err := (CampaignTerms{Rate: o.Rate}).Validate(); err != nil {
		return err
	}
	one := o.job()
	one.InvitedUsers = []XUID{1}
	switch {
	case r.zero:
		one.InvitedUsers[0] = 0
	case r.n == 0:
		one.InvitedUsers = nil
	}
	return one.Validate()
}

// content is a digest: a connectionString may let people in, and is nobody's
// business who may read records.
func (o CampaignOrder) content() string {
	sum := sha256.Sum256(o.job().encode())
	return hex.EncodeToString(sum[:])
}

// orderRecord is what is wanted of a campaign, and how far its upload is. It is
// written only over the one that was read.
//
// Before each batch of jobs is published it says which one that is, so that
// whoever goes on after an interruption has to look for one batch alone: all
// before it are stored, none after it is.
type orderRecord struct {
	ID         string    `json:"id"` // of this campaign among all, also those of its name: of its jobs' and messages' names
	Recipients int       `json:"recipients"`
	Digest     string    `json:"digest"`  // of the recipients in their order
	Content    string    `json:"content"` // digest of what all jobs have in common
	CreatedAt  time.Time `json:"createdAt"`
	ExpiresAt  time.Time `json:"expiresAt,omitzero"`
	UploadedAt time.Time `json:"uploadedAt,omitzero"` // when the last job was stored

	Stored  int    `json:"stored"`            // jobs: the first so many are stored
	Sending int    `json:"sending,omitempty"` // jobs after those may be stored too: all of them or none
	After   uint64 `json:"after,omitempty"`   // the last sequence of INVITE_CAMPAIGNS before they were sent
}

// jobsFor is how many calls, and jobs, so many recipients need.
func jobsFor(recipients int) int { return (recipients + callSize - 1) / callSize }

// callSize is how many recipients a call has at most.
const callSize = 16

// jobPrefix begins the id of each job of an order. The number after it is from 1.
func (r orderRecord) jobPrefix(a Address) string { return a.Campaign + "-" + r.ID + "-" }

// numberOf is the number of an order's job; 0: the job is none of the order's.
func (r orderRecord) numberOf(a Address, jobID string) int {
	rest, ok := strings.CutPrefix(jobID, r.jobPrefix(a))
	if !ok || r.ID == "" {
		return 0
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 1 || n > jobsFor(r.Recipients) || strconv.Itoa(n) != rest {
		return 0
	}
	return n
}

func campaignToken(a Address) string {
	return strconv.FormatUint(uint64(a.TitleID), 10) + "." + a.Sender + "." + a.Campaign
}

// errRecord: somebody else wrote it. What was stored can't be known without it.
var errRecord = errors.New("what is stored there is no record that invited writes; look at it with the nats command line, and remove it")

// decodeOrder takes only what an upload can have written: it is gone on from there.
func decodeOrder(data []byte) (r orderRecord, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return orderRecord{}, err
	}
	isID := checkName("id", r.ID) == nil
	isMany := r.Recipients >= 1 && r.Recipients <= math.MaxInt-callSize
	isUpload := r.Stored >= 0 && r.Sending >= 0 && r.Sending <= maxBatch
	if !isID || !isMany || !isUpload || r.Stored > jobsFor(r.Recipients)-r.Sending {
		return orderRecord{}, errors.New("it contradicts itself")
	}
	return r, nil
}

// getRecord reads the last word of a subject of INVITE_CONTROL into v; revision 0: there is none.
func getRecord[T any](
	ctx context.Context, control jetstream.Stream, subject string, decode func([]byte) (T, error),
) (v T, revision uint64, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	m, err := control.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return v, 0, at, nil
	}
	if err != nil {
		return v, 0, at, explain(err)
	}
	if v, err = decode(m.Data); err != nil {
		return *new(T), m.Sequence, m.Time, fmt.Errorf("record %s: %w: %w", subject, errRecord, err)
	}
	return v, m.Sequence, m.Time, nil
}

// putRecord writes a record over the one of a revision; 0: over none.
func putRecord(ctx context.Context, js jetstream.JetStream, subject string, over uint64, v any) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return 0, err
	}
	ack, err := js.Publish(ctx, subject, data, jetstream.WithExpectLastSequencePerSubject(over), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// infoOf looks at a stream. A look that a connection took with it when it broke ends soon.
func infoOf(ctx context.Context, s jetstream.Stream, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	info, err := s.Info(ctx, opts...)
	if err != nil {
		return nil, explain(err)
	}
	return info, nil
}
