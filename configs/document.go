package configs

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The parser's time grows with the square of nesting and of keys. These limits keep
// the worst file that passes them at a few seconds.
const (
	maxTokens  = 100_000
	maxNesting = 64
)

var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// parseDocument returns the root of the one YAML document in data, or nil where it is
// empty. It never shows a line of the source: that line may hold a token.
func parseDocument(name string, data []byte) (ast.Node, *Error) {
	if len(data) > maxFileSize {
		message := "the file is larger than 1 MiB, which no configuration needs: is it the right file?"
		return nil, &Error{Place: Place{File: name}, Message: message}
	}
	// The scanner counts some CRLF as two lines, and every column would be one off after a byte order mark.
	text := lineBreaks.Replace(strings.TrimPrefix(string(data), "\uFEFF"))
	if err := checkText(name, text); err != nil {
		return nil, err
	}
	tokens := lexer.Tokenize(text)
	if err := checkSize(name, tokens); err != nil {
		return nil, err
	}
	// Repeated keys are allowed here and refused by the binder, which names all of them.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(name, err)
	}
	var root ast.Node
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			place := placeOf(name, doc.Body)
			return nil, &Error{Place: place, Message: "a second YAML document starts here: keep one, and remove the line ---"}
		}
		root = doc.Body
	}
	return root, nil
}

// checkText refuses what YAML does not allow and editors do not show.
func checkText(name, text string) *Error {
	place := Place{File: name, Line: 1, Column: 1}
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return &Error{Place: place, Message: "the text is no UTF-8: save the file as UTF-8"}
		case r == '\n':
			place.Line, place.Column = place.Line+1, 1
			continue
		case r < ' ' && r != '\t', r == 0x7F:
			return &Error{Place: place, Message: fmt.Sprintf("control character U+%04X: remove it", r)}
		}
		place.Column++
	}
	return nil
}

func checkSize(name string, tokens token.Tokens) *Error {
	flow, dashes := 0, 0
	for i, tk := range tokens {
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		}
		dashes++
		if tk.Type != token.SequenceEntryType {
			dashes = 0
		}
		place := placeAt(name, tk.Position)
		if flow+dashes > maxNesting {
			return &Error{Place: place, Message: fmt.Sprintf("nested more than %d deep, which no configuration needs", maxNesting)}
		}
		if i == maxTokens {
			return &Error{Place: place, Message: "the file holds too many values, which no configuration needs: is it the right file?"}
		}
	}
	return nil
}

func syntaxError(name string, err error) *Error {
	place, message := Place{File: name}, "syntax error"
	if yamlErr, ok := errors.AsType[yaml.Error](err); ok {
		if tk := yamlErr.GetToken(); tk != nil {
			place = placeAt(name, tk.Position)
		}
		// The parser quotes the source in some messages. Those are not passed on.
		if detail := yamlErr.GetMessage(); !strings.ContainsAny(detail, "\"`") {
			message = hint(detail)
		}
	}
	return &Error{Place: place, Message: "this is no YAML: " + message}
}

// hint adds the way out to the parser's messages that people meet most.
func hint(detail string) string {
	switch {
	case strings.Contains(detail, "\t"):
		return "a tab can't indent: use spaces"
	case strings.Contains(detail, "mapping value is not allowed"):
		return detail + ` (a value with ": " in it needs quotes; a key starts in the same column as its neighbours)`
	case strings.Contains(detail, "must be specified"):
		return detail + ` (inside { } and [ ] a value such as ${NAME} needs quotes: "${NAME}")`
	default:
		return detail
	}
}

func placeOf(name string, node ast.Node) Place {
	// A block mapping's own token is the colon after its first key.
	if mapping, ok := node.(*ast.MappingNode); ok && !mapping.IsFlowStyle && len(mapping.Values) > 0 {
		return placeOf(name, mapping.Values[0].Key)
	}
	return placeAt(name, node.GetToken().Position)
}

func placeAt(name string, p *token.Position) Place {
	// A place always has a line, or its error would look like one of the whole file.
	return Place{File: name, Line: max(p.Line, 1), Column: max(p.Column, 1)}
}
