package roster

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// all is what a file says: who, on which lines, and what is wrong, with the error that ended it as the last.
func all(r io.Reader) (entries []Entry, problems []string, end error) {
	for e, err := range Read(r) {
		var bad *LineError
		switch {
		case errors.As(err, &bad):
			problems = append(problems, err.Error())
		case err != nil:
			end = err
		default:
			entries = append(entries, e)
		}
	}
	return entries, problems, end
}

func gz(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestEachFormIsReadWithTheLinesOfItsXUIDs(t *testing.T) {
	for what, c := range map[string]struct {
		file string
		want []Entry
	}{
		"nothing":                   {"", nil},
		"text":                      {"11\n12\n18446744073709551615\n", []Entry{{11, 1}, {12, 2}, {1<<64 - 1, 3}}},
		"no last line break":        {"11\n12", []Entry{{11, 1}, {12, 2}}},
		"CR LF":                     {"11\r\n\r\n12\r\n", []Entry{{11, 1}, {12, 3}}},
		"blanks and comments":       {"# who\n\n  \n 11\t\n#12\n\t13 \n", []Entry{{11, 4}, {13, 6}}},
		"only comments":             {"# nobody", nil},
		"repeats are the caller's":  {"11\n11\n", []Entry{{11, 1}, {11, 2}}},
		"a byte order mark":         {"\xef\xbb\xbf11\n", []Entry{{11, 1}}},
		"gzip":                      {gz(t, "11\n12\n"), []Entry{{11, 1}, {12, 2}}},
		"gzip files in a row":       {gz(t, "11\n1") + gz(t, "2\n"), []Entry{{11, 1}, {12, 2}}},
		"gzip of a marked CSV":      {gz(t, "\xef\xbb\xbfxuid\r\n11\r\n"), []Entry{{11, 2}}},
		"CSV of one column":         {"XUID\n11\n\n\"12\"\n", []Entry{{11, 2}, {12, 4}}},
		"a quoted header":           {"\"Xuid\",name\n11,ada\n", []Entry{{11, 2}}},
		"comments before a header":  {"# exported\n\nxuid\n11\n", []Entry{{11, 4}}},
		"other columns":             {"name,xuid,level\nada,11,7\n\"b, ob\",\"12\",8\n", []Entry{{11, 2}, {12, 3}}},
		"semicolons":                {"name;xuid\nada, the first;11\n", []Entry{{11, 2}}},
		"tabs":                      {"name\t xuid \nada, b;c\t 11\n", []Entry{{11, 2}}},
		"line breaks in values":     {"name,xuid\n\"a\nd\na\",11\n\"b\r\n\"\"o\"\"b\",12\n", []Entry{{11, 4}, {12, 6}}},
		"a line break in a header":  {"\"full\nname\",xuid\nada,11\n", []Entry{{11, 3}}},
		"bare quotes in a value":    {"name,xuid\nada \"the first\",11\n", []Entry{{11, 2}}},
		"other signs of other sets": {"name,xuid\nJos\xe9,11\n", []Entry{{11, 2}}},
		"CSV without an end":        {"name,xuid\r\nada,11", []Entry{{11, 2}}},
	} {
		t.Run(what, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.file), iotest.OneByteReader(strings.NewReader(c.file))} {
				entries, problems, err := all(r)
				require.NoError(t, err)
				assert.Empty(t, problems)
				assert.Equal(t, c.want, entries)
			}
		})
	}
}

func TestABadLineIsNamedAndTheOthersAreRead(t *testing.T) {
	long := strings.Repeat("7", maxLine)
	for what, c := range map[string]struct{ file, says string }{
		"letters":             {"11\nada\n12\n", `line 2: "ada" is not all digits`},
		"zero":                {"11\n0\n12\n", `line 2: "0" has a leading zero`},
		"a leading zero":      {"11\n02\n12\n", `line 2: "02" has a leading zero`},
		"too large":           {"11\n18446744073709551616\n12", `line 2: "18446744073709551616" is above 18446744073709551615`},
		"two on a line":       {"11\n1 2\n12\n", `line 2: "1 2" is not all digits`},
		"shortened":           {"11\n2.53E+15\n12\n", `line 2: "2.53E+15" was shortened by a spreadsheet, and its last digits are lost`},
		"shortened, comma":    {"11\n2,53327E+15\n12\n", "was shortened by a spreadsheet"},
		"a fraction":          {"11\n2533274790395904.0\n12\n", "was formatted by a spreadsheet: format the column as text"},
		"thousands":           {"11\n2,533,274\n12\n", "was formatted by a spreadsheet"},
		"a formula":           {"11\n=\"2533274\"\n12\n", "was formatted by a spreadsheet"},
		"a NUL":               {"11\n1\x002\n12\n", "line 2: has a NUL byte in it: if the file is UTF-16"},
		"no UTF-8":            {"11\n\xff\n12\n", `line 2: "\xff" is not UTF-8`},
		"old line ends":       {"11\n1\r2\n12\n", `line 2: "1\r2" has a carriage return in it`},
		"an escape sequence":  {"11\n\x1b[31m\n12\n", `line 2: "\x1b[31m" is not all digits`},
		"long":                {"11\n" + long + "\n12\n", "line 2: is longer than 64 KiB"},
		"very long":           {"11\n" + long + long + "7\n12\n", "line 2: is longer than 64 KiB"},
		"a CSV value":         {"a,xuid\nx,11\ny,ada\nz,12\n", `line 3: xuid "ada" is not all digits`},
		"no CSV value":        {"a,xuid\nx,11\ny,\nz,12\n", "line 3: xuid is empty"},
		"a comma too many":    {"a,xuid\nx,11\nx,y,13\nz,12\n", "line 3: has 3 values, and the header names 2 columns; a value with a separator in it needs quotes"},
		"a column too few":    {"a,xuid\nx,11\nx\nz,12\n", "line 3: has 1 values"},
		"a NUL in CSV":        {"a,xuid\nx,11\n\x00,13\nz,12\n", "line 3: has a NUL byte"},
		"after a quote":       {"a,xuid\nx,11\n\"a\"b,13\nz,12\n", "line 3: has text after a closing quote"},
		"a long record":       {"a,xuid\nx,11\n" + long + ",13\nz,12\n", "line 3: is longer than 64 KiB"},
		"a long value":        {"a,xuid\nx,11\ny," + strings.Repeat(" ", 60) + "1234567\nz,12\n", "line 3: has a value in its column xuid that is longer than any XUID"},
		"its own line in CSV": {"a,xuid\nx,11\n\"y\ny\",ada\nz,12\n", `line 4: xuid "ada"`},
	} {
		t.Run(what, func(t *testing.T) {
			entries, problems, err := all(strings.NewReader(c.file))
			require.NoError(t, err)
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0], c.says)
			assert.Less(t, len(problems[0]), 300)
			require.Len(t, entries, 2)
			assert.Equal(t, []queue.XUID{11, 12}, []queue.XUID{entries[0].XUID, entries[1].XUID})
			assert.Equal(t, strings.Count(strings.TrimSuffix(c.file, "\n"), "\n")+1, entries[1].Line)
		})
	}
}

func TestAFirstLineThatIsNoXUIDSaysWhichFormsThereAre(t *testing.T) {
	_, problems, err := all(strings.NewReader("name,id\nada,11\n"))
	require.NoError(t, err)
	require.Len(t, problems, 2)
	assert.Contains(t, problems[0], "a CSV file a first line with a column xuid")
	assert.NotContains(t, problems[1], "column")
}

func TestAFileThatCannotBeReadToItsEndIsAnErrorAndNotItsEnd(t *testing.T) {
	whole := gz(t, strings.Repeat("2533274790395904\n", 5000))
	for what, c := range map[string]struct {
		file io.Reader
		says string
	}{
		"gzip that is cut off": {strings.NewReader(whole[:len(whole)-9]), "the gzip data is cut off or damaged: unexpected EOF"},
		"gzip of a bad sum":    {strings.NewReader(whole[:len(whole)-8] + "abcd" + whole[len(whole)-4:]), "damaged: gzip: invalid checksum"},
		"gzip and something":   {strings.NewReader(whole + "more"), "the gzip data is cut off or damaged"},
		"no gzip":              {strings.NewReader(magicGzip + "no"), "begins like a gzip file and is none"},
		"a disk that fails":    {io.MultiReader(strings.NewReader("11\n12"), iotest.ErrReader(io.ErrClosedPipe)), "after line 1: io: read/write on closed pipe"},
		"UTF-16":               {strings.NewReader("\xff\xfe1\x001\x00"), "it is UTF-16, not UTF-8"},
		"UTF-16, big end":      {strings.NewReader("\xfe\xff\x001\x001"), "it is UTF-16, not UTF-8"},
		"a workbook":           {strings.NewReader("PK\x03\x04\x14\x00"), "a ZIP archive or a spreadsheet"},
		"two columns":          {strings.NewReader("xuid,XUID\n11,12\n"), "line 1: the header names two columns xuid"},
		"an open quote":        {strings.NewReader("a,xuid\n\"x,11\ny,12\n"), "line 2: a quote in this record is not closed"},
		"a long open quote":    {strings.NewReader("a,xuid\n\"x,11\n" + strings.Repeat("y,12\n", maxLine)), "line 2: a quote in this record is not closed"},
	} {
		t.Run(what, func(t *testing.T) {
			entries, _, err := all(c.file)
			require.ErrorContains(t, err, c.says)
			for _, e := range entries {
				assert.Contains(t, []queue.XUID{11, 2533274790395904}, e.XUID, "half a line is nobody")
			}
		})
	}
}

// A terminal would wait for a second Ctrl-D, and a disk that failed once may seem to go on.
func TestAReaderThatHasEndedIsNotAskedAgain(t *testing.T) {
	for _, end := range []error{io.EOF, io.ErrClosedPipe} {
		asked := 0
		_, _, err := all(io.MultiReader(strings.NewReader("11\n12\n"), readerFunc(func([]byte) (int, error) {
			asked++
			return 0, end
		})))
		assert.Equal(t, end != io.EOF, err != nil) //nolint:errorlint // it is this very value
		assert.Equal(t, 1, asked)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestAQuoteThatIsNeverClosedIsToldBeforeTheWholeFileWasRead(t *testing.T) {
	rest := &repeated{text: strings.Repeat("y,12\n", 1000), n: 1000}
	_, _, err := all(io.MultiReader(strings.NewReader("a,xuid\n\"x,11\n"), rest))
	require.ErrorContains(t, err, "line 2: a quote in this record is not closed")
	assert.Greater(t, rest.n, 900, "of 1,000 parts that were not read")
}

func TestReadingStopsWhenTheCallerWantsNoMore(t *testing.T) {
	for _, file := range []string{"11\n12\n", "xuid\n11\n12\n", "x\n11\n"} {
		n := 0
		for range Read(strings.NewReader(file)) {
			n++
			break
		}
		assert.Equal(t, 1, n)
	}
}

// repeated is a text as often as n says, without the memory for it.
type repeated struct {
	text string
	n    int
	rest string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n--
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const lines = 300_000
	for what, file := range map[string]io.Reader{
		"text":                   &repeated{text: strings.Repeat("2533274790395904\n", 1000), n: lines / 1000},
		"one line without end":   &repeated{text: strings.Repeat("7", 1<<16), n: 256},
		"CSV":                    io.MultiReader(strings.NewReader("a,xuid\n"), &repeated{text: strings.Repeat("\"x\",11\n", 1000), n: lines / 1000}),
		"one record without end": io.MultiReader(strings.NewReader("a,xuid\n"), &repeated{text: strings.Repeat("7,", 1<<15), n: 256}),
		"a quote without end":    io.MultiReader(strings.NewReader("a,xuid\n\""), &repeated{text: strings.Repeat("7\n", 1<<15), n: 256}),
		"a gzip bomb":            strings.NewReader(gz(t, strings.Repeat("0", 1<<24))),
	} {
		t.Run(what, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range Read(file) {
			}
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(512<<10), "all that was ever allocated, in bytes")
		})
	}
}

// FuzzRoster compares with encoding/csv where that can read the file, and with the lines themselves where it is text.
func FuzzRoster(f *testing.F) {
	for _, seed := range []string{
		"", "11\n12\r\n# c\n\n 13", "xuid\n11\n", "name,xuid\n\"a\nb\",11\n", "a;\"XUID\"\n1;2\n", "a\txuid\n1\t\"2\"\n", "\xef\xbb\xbfxuid\n1",
		"\xff\xfe1\x00", "PK\x03\x04", "\x1f\x8b\x08", "2.53E+15", "1\x002", "xuid,xuid\n", "a,xuid\n\"", "a,xuid\n\"a\"\"b\",1\n", "xuid\n\"1\n\"\n",
		"xuid\n\n \n\"\"\n", "a,xuid\n\"a\"b,1\n", "xuid\r\n1\r\n", "xuid\n1\r2\n", "#\n\n\"xuid\"", ",xuid,\n,1,\n", gz(f, "xuid\n1\n"), gz(f, "1\n2\n")[:20],
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, file []byte, zip uint8) {
		r := io.Reader(bytes.NewReader(file))
		switch zip % 4 {
		case 1:
			r = iotest.OneByteReader(r)
		case 2:
			r = strings.NewReader(gz(t, string(file)))
		}
		entries, problems, end := all(r)
		last := 0
		lines := bytes.Count(file, []byte("\n")) + 1
		for _, e := range entries {
			require.True(t, e.XUID > 0 && e.Line > 0)
			require.GreaterOrEqual(t, e.Line, last)
			last = e.Line
		}
		for _, problem := range problems {
			require.True(t, strings.HasPrefix(problem, "line ") && !strings.ContainsAny(problem, "\n\x1b") && len(problem) < 600, "%q", problem)
		}
		if bytes.HasPrefix(file, []byte(magicGzip)) {
			return
		}
		require.LessOrEqual(t, last, lines)
		body := bytes.TrimPrefix(file, []byte(bomUTF8))
		if want, ok := byLibrary(body); ok {
			require.NoError(t, end)
			require.Equal(t, want, entries)
		} else if end == nil && len(problems) == 0 && !bytes.ContainsAny(body, "xX") {
			var of []Entry
			for i, line := range strings.Split(string(body), "\n") {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					x, err := strconv.ParseUint(line, 10, 64)
					require.NoError(t, err)
					of = append(of, Entry{queue.XUID(x), i + 1})
				}
			}
			require.Equal(t, of, entries)
		}
	})
}

// byLibrary is what encoding/csv reads: the XUIDs, with the lines they are on. It answers for files that begin with a header
// whose separator is a comma, that have no quoted blank record and no NUL.
func byLibrary(file []byte) (want []Entry, ok bool) {
	r := csv.NewReader(bytes.NewReader(file))
	names, err := r.Read()
	if err != nil || len(file) > 1<<12 || bytes.IndexByte(file, 0) >= 0 || bytes.HasPrefix(bytes.TrimSpace(file), []byte("#")) {
		return nil, false
	}
	column := -1
	for i, name := range names {
		if strings.EqualFold(strings.TrimSpace(name), "xuid") {
			if column >= 0 {
				return nil, false
			}
			column = i
		}
	}
	for column >= 0 {
		values, err := r.Read()
		if errors.Is(err, io.EOF) {
			return want, true
		}
		if err != nil {
			return nil, false
		}
		if x, err := queue.ParseXUID(strings.TrimSpace(values[column])); err == nil && len(values[column]) <= maxValue {
			line, _ := r.FieldPos(column)
			want = append(want, Entry{x, line})
		}
	}
	return nil, false
}

func BenchmarkRead(b *testing.B) {
	const lines = 1_000_000
	line := "2533274790395904\n"
	for name, file := range map[string]func() io.Reader{
		"text": func() io.Reader { return &repeated{text: strings.Repeat(line, 1000), n: lines / 1000} },
		"csv": func() io.Reader {
			return io.MultiReader(strings.NewReader("name,xuid\n"), &repeated{text: strings.Repeat("ada,"+line, 1000), n: lines / 1000})
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for _, err := range Read(file()) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != lines {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

func ExampleRead() {
	file := strings.NewReader("name,xuid\nAda,2533274790395904\nBob,2.53E+15\n")
	for entry, err := range Read(file) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("line", entry.Line, "is", entry.XUID)
	}
	// Output:
	// line 2 is 2533274790395904
	// line 3: xuid "2.53E+15" was shortened by a spreadsheet, and its last digits are lost: take the XUIDs from their source again, as text
}
