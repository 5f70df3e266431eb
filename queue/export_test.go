package queue

// SetBatch makes batches so small that an upload of a few jobs has several.
func (o *Organizer) SetBatch(jobs int) { o.batch = jobs }
