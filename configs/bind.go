package configs

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// maxWindows bounds every list of windows.
const maxWindows = 16

// binder copies a YAML tree into the loader's Config and notes where each value
// stood. The Config's types and yaml tags are the schema: they decide how a scalar is
// read, so that `sandbox: 1` is text, and a quoted "3" a number where one is wanted.
type binder struct {
	*loader
	anchors map[string]ast.Node
}

func newBinder(l *loader) *binder { return &binder{loader: l, anchors: map[string]ast.Node{}} }

func (b *binder) bindRoot(root ast.Node) {
	b.bind(reflect.ValueOf(&b.config).Elem(), root, "")
}

// bind reads node into v, which keeps its default where node can't be read.
func (b *binder) bind(v reflect.Value, node ast.Node, path string) {
	node, ok := b.resolve(node, path)
	if !ok {
		return
	}
	if path != "" {
		b.places[path] = placeOf(b.name, node)
	}
	switch kind := v.Kind(); {
	case kind == reflect.Pointer:
		value := reflect.New(v.Type().Elem())
		b.bind(value.Elem(), node, path)
		v.Set(value)
	case isSection(v.Type()):
		b.bindStruct(v, node, path)
	case kind == reflect.Map:
		b.bindTitles(v, node, path)
	case kind == reflect.Slice:
		b.bindList(v, node, path)
	default:
		b.bindScalar(v, node, path)
	}
}

// isSection tells a section of the file from the structs that are one value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]() && t != reflect.TypeFor[URL]()
}

// resolve follows anchors and aliases, and refuses tags.
func (b *binder) resolve(node ast.Node, path string) (ast.Node, bool) {
	for range 8 { // enough for any that make sense; an alias of itself ends here
		switch n := node.(type) {
		case *ast.AnchorNode:
			b.anchors[n.Name.GetToken().Value] = n.Value
			node = n.Value
		case *ast.AliasNode:
			target, ok := b.anchors[n.Value.GetToken().Value]
			if !ok {
				b.failAt(n, path, "this alias has no anchor before it: write the value out")
				return nil, false
			}
			node = target
		case *ast.TagNode:
			b.failAt(n, path, "tags are not supported: remove it, the key decides the type")
			return nil, false
		default:
			return node, true
		}
	}
	b.failAt(node, path, "this alias leads nowhere: write the value out")
	return nil, false
}

// entries calls visit for each key of a mapping, in the order of the file. A section
// with nothing in it (all its keys commented out, say) has its defaults.
func (b *binder) entries(node ast.Node, path string, visit func(key string, keyNode, value ast.Node)) {
	if _, empty := node.(*ast.NullNode); empty {
		return
	}
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		b.failAt(node, path, "must be a mapping, with lines such as key: value")
		return
	}
	seen := map[string]int{}
	for _, entry := range mapping.Values {
		keyNode, ok := b.key(entry, path)
		if !ok {
			continue
		}
		key := scalarText(keyNode)
		if line, repeated := seen[key]; repeated {
			b.failAt(keyNode, path, "the key%s stands twice in one mapping, first in line %d: remove one", shownKey(path, key), line)
			continue
		}
		seen[key] = placeOf(b.name, keyNode).Line
		visit(key, keyNode, entry.Value)
	}
}

func (b *binder) key(entry *ast.MappingValueNode, path string) (ast.Node, bool) {
	var node ast.Node = entry.Key
	if explicit, ok := node.(*ast.MappingKeyNode); ok {
		node = explicit.Value
	}
	switch node.(type) {
	case *ast.MergeKeyNode:
		b.failAt(node, path, "merge keys (<<) are not supported: write the keys out")
		return nil, false
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node, true
	default:
		b.failAt(node, path, "a key must be plain text")
		return nil, false
	}
}

func (b *binder) bindStruct(v reflect.Value, node ast.Node, path string) {
	fields := map[string]reflect.Value{}
	var known []string
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		fields[key] = v.Field(i)
		known = append(known, key)
	}
	b.entries(node, path, func(key string, keyNode, value ast.Node) {
		field, ok := fields[key]
		if !ok {
			b.unknownKey(keyNode, path, key, known)
			return
		}
		b.bindValue(field, keyNode, value, join(path, key))
	})
}

// bindValue refuses a key without a value, unless it is a section: nothing after
// the colon could mean the default as well as empty.
func (b *binder) bindValue(v reflect.Value, keyNode, value ast.Node, path string) {
	_, null := value.(*ast.NullNode)
	if null && !isSection(v.Type()) && v.Kind() != reflect.Map {
		b.failAt(keyNode, path, "the key has no value: write one (%s), or remove the line for the default", emptyForm(v))
		return
	}
	b.bind(v, value, path)
}

func emptyForm(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice:
		return "[] for an empty list"
	case v.Kind() == reflect.String, v.Kind() == reflect.Struct:
		return `"" for empty text`
	default:
		return "it can't be empty"
	}
}

func (b *binder) unknownKey(keyNode ast.Node, path, key string, known []string) {
	shown, others := shownKey(path, key), strings.Join(known, ", ")
	switch near := nearest(key, known); {
	case near != "":
		b.failAt(keyNode, path, "unknown key%s: did you mean %s? Known here: %s", shown, near, others)
	default:
		b.failAt(keyNode, path, "unknown key%s. Known here: %s", shown, others)
	}
}

var (
	keyPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$`)
	titlePattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})$`)
)

// shownKey returns the key for a message if it looks like a key, and nothing if it
// may be a value, and so a secret, that slipped.
func shownKey(path, key string) string {
	if inTokens(path) || !keyPattern.MatchString(key) {
		return ""
	}
	return " " + strconv.Quote(key)
}

func (b *binder) bindTitles(v reflect.Value, node ast.Node, path string) {
	titles := reflect.MakeMap(v.Type())
	b.entries(node, path, func(key string, keyNode, value ast.Node) {
		id, err := strconv.ParseUint(key, 10, 32)
		if err != nil || !titlePattern.MatchString(key) {
			b.failAt(keyNode, path, "the key%s is no titleId: it must be a decimal number from 0 to 4294967295, without leading zeros",
				shownKey(path, key))
			return
		}
		title := reflect.New(v.Type().Elem()).Elem()
		b.bindValue(title, keyNode, value, join(path, key))
		titles.SetMapIndex(reflect.ValueOf(uint32(id)), title)
	})
	v.Set(titles)
}

func (b *binder) bindList(v reflect.Value, node ast.Node, path string) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		b.failAt(node, path, "must be a list, such as [{max: 7, per: 15s}], or [] for none")
		return
	}
	if len(list.Values) > maxWindows {
		b.failAt(list.Values[maxWindows], path, "has %d entries, at most %d are allowed", len(list.Values), maxWindows)
		return
	}
	// Never nil: an empty list says something else than no list.
	items := reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values))
	for i, item := range list.Values {
		b.bind(items.Index(i), item, fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(items)
}

func (b *binder) bindScalar(v reflect.Value, node ast.Node, path string) {
	if !isScalar(node) {
		b.failAt(node, path, "must be %s", wanted(v))
		return
	}
	text := scalarText(node)
	if isText(node) {
		var ok bool
		if text, ok = b.expand(text, path); !ok {
			return
		}
	}
	if !setScalar(v, text) {
		b.failAt(node, path, "must be %s%s", wanted(v), b.not(path, text))
	}
}

// setScalar says whether text is one of v's type, and sets it.
func setScalar(v reflect.Value, text string) bool {
	var err error
	switch p := v.Addr().Interface().(type) {
	case *Secret:
		// Mounted secrets often end in a line break, which no header may hold.
		*p = NewSecret(strings.TrimSpace(text))
	case *URL:
		*p = NewURL(strings.TrimSpace(text))
	case *time.Duration:
		*p, err = time.ParseDuration(text)
	case *bool:
		*p = text == "true"
		return *p || text == "false"
	case *int:
		*p, err = strconv.Atoi(text)
	case *float64:
		*p, err = strconv.ParseFloat(text, 64)
	default: // string, and the types of it
		v.SetString(text)
	}
	return err == nil
}

func wanted(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return "a duration with its unit, such as 500ms, 15s or 5m"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.Kind() == reflect.Int:
		return "a whole number in decimal digits"
	case v.Kind() == reflect.Float64:
		return "a number, such as 0.1"
	default:
		return "one line of text"
	}
}

// isText says whether YAML itself calls the scalar a string.
func isText(node ast.Node) bool {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return true
	default:
		return false
	}
}

func isScalar(node ast.Node) bool {
	_, null := node.(*ast.NullNode)
	_, scalar := node.(ast.ScalarNode)
	return scalar && !null
}

// scalarText returns a scalar as it was written, with quotes and escapes undone.
func scalarText(node ast.Node) string {
	if block, ok := node.(*ast.LiteralNode); ok {
		return block.Value.Value
	}
	return node.GetToken().Value
}

func (b *binder) failAt(node ast.Node, path, format string, args ...any) {
	b.fail(path, placeOf(b.name, node), format, args...)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
