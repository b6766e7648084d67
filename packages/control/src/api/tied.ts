import { z } from 'zod';

/** A type as JSON has it: arrays and objects that may be written, and nothing that is undefined. */
type Plain<T> = T extends readonly (infer E)[]
  ? Plain<E>[]
  : T extends object
    ? { -readonly [K in keyof T]: Plain<Exclude<T[K], undefined>> }
    : T;

/** Assignability would not do: a type that lacks what is optional in another is assignable to it. */
type IsSame<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

type At<T, K extends PropertyKey> = T extends { [P in K]?: infer V } ? V : never;
type KeysOf<T> = T extends unknown ? keyof T : never;

/** For the compiler's message: the properties in which two types differ. */
type Difference<A, B> = {
  [K in KeysOf<A> | KeysOf<B>]: IsSame<At<A, K>, At<B, K>> extends true ? never : K;
}[KeysOf<A> | KeysOf<B>];

type Tied<A, B> = IsSame<A, B> extends true ? unknown : ['schema and interface differ in', Difference<A, B>];

/**
 * Gives the schema of an interface its name in the document. It does not compile where one has what the other has not: the
 * interface is the source, and a schema that stays behind it would tell strangers what is not so.
 */
export const tied =
  <I>() =>
  <S extends z.ZodType>(id: string, schema: S & Tied<Plain<z.output<S>>, Plain<I>>): S => {
    z.globalRegistry.add(schema, { ...z.globalRegistry.get(schema), id });
    return schema;
  };
