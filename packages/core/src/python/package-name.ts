/** A package's name as indexes compare it (PEP 503): `Foo_Bar.baz` is `foo-bar-baz`. */
export const packageName = (name: string): string => name.toLowerCase().replace(/[-_.]+/g, '-');
