package queue

// Lane says how urgent a job is. It follows from where the job was published.
type Lane uint8

const (
	// Interactive jobs come on invites.jobs: a player is waiting.
	Interactive Lane = iota
	// Bulk jobs come on invites.campaigns: nobody is.
	Bulk
)

// Lanes returns all lanes.
func Lanes() []Lane { return []Lane{Interactive, Bulk} }

// String is the lane's label value in metrics.
func (l Lane) String() string {
	if l == Bulk {
		return "bulk"
	}
	return "interactive"
}
