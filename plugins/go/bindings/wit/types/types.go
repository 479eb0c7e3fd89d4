// Package types has what WIT has and Go has not: options, results, tuples.
package types

// The tags of an Option.
const (
	OptionNone = 0
	OptionSome = 1
)

// The tags of a Result.
const (
	ResultOk  = 0
	ResultErr = 1
)

// Option is a value or nothing.
type Option[T any] struct {
	some  bool
	value T
}

// None is an Option without a value.
func None[T any]() Option[T] { return Option[T]{} }

// Some is an Option with a value.
func Some[T any](value T) Option[T] { return Option[T]{some: true, value: value} }

// IsSome tells whether there is a value.
func (o Option[T]) IsSome() bool { return o.some }

// IsNone tells whether there is none.
func (o Option[T]) IsNone() bool { return !o.some }

// Some is the value; it panics when there is none.
func (o Option[T]) Some() T {
	if !o.some {
		panic("an option without a value was asked for it")
	}
	return o.value
}

// SomeOr is the value, or another one when there is none.
func (o Option[T]) SomeOr(otherwise T) T {
	if o.some {
		return o.value
	}
	return otherwise
}

// Tag is OptionNone or OptionSome.
func (o Option[T]) Tag() uint8 {
	if o.some {
		return OptionSome
	}
	return OptionNone
}

// Result is what a function gives, or its error.
type Result[T, E any] struct {
	failed bool
	value  T
	err    E
}

// Ok is a Result that went well.
func Ok[T, E any](value T) Result[T, E] { return Result[T, E]{value: value} }

// Err is a Result that did not.
func Err[T, E any](err E) Result[T, E] { return Result[T, E]{failed: true, err: err} }

// IsOk tells whether it went well.
func (r Result[T, E]) IsOk() bool { return !r.failed }

// IsErr tells whether it did not.
func (r Result[T, E]) IsErr() bool { return r.failed }

// Ok is the value; it panics when there is an error instead.
func (r Result[T, E]) Ok() T {
	if r.failed {
		panic("a result with an error was asked for its value")
	}
	return r.value
}

// Err is the error; it panics when there is none.
func (r Result[T, E]) Err() E {
	if !r.failed {
		panic("a result without an error was asked for it")
	}
	return r.err
}

// Tag is ResultOk or ResultErr.
func (r Result[T, E]) Tag() uint8 {
	if r.failed {
		return ResultErr
	}
	return ResultOk
}

// Unit is no value.
type Unit struct{}

// Tuple2 is two values.
type Tuple2[A, B any] struct {
	F0 A
	F1 B
}

// Tuple3 is three values.
type Tuple3[A, B, C any] struct {
	F0 A
	F1 B
	F2 C
}
