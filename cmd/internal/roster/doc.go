// Package roster reads the recipients of a campaign: a file of XUIDs, as large
// as it may be, in the forms that people have one in.
//
//	for entry, err := range roster.Read(file) {
//		var bad *roster.LineError
//		switch {
//		case errors.As(err, &bad): // this line; reading goes on
//		case err != nil: // the file; it is the last item
//		default: // entry.XUID, from entry.Line
//		}
//	}
//
// The forms are told apart by what is in the file, never by its name:
//
//   - Text has one XUID a line. Blank lines and lines that begin with # are
//     skipped, and spaces around an XUID are dropped.
//   - CSV has a first line that names a column xuid, in any case. Its separator
//     is the comma, the semicolon or the tab of that line. Values may be quoted,
//     with line breaks and doubled quotes inside; other columns are not looked at.
//   - Either may be compressed with gzip, begin with a UTF-8 byte order mark, and
//     end its lines with CR LF.
//
// A file is read as a stream, with the same few hundred KiB of memory however
// long it is; repeats are the caller's to remove. What can't be told for sure is refused
// with its line and the way out, rather than guessed: an invite that went to
// somebody else can't be taken back.
package roster
