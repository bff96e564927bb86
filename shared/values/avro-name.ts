const AVRO_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** The full name of an Avro record, in its two parts. Both must be valid Avro names. */
export interface RecordNames {
  readonly namespace: string;
  readonly record: string;
}

/**
 * A name that Avro allows: the name itself, or with every other character as its code point, `total.€` as
 * `total_x2e__x20ac_`. The result depends on the name alone, so that it stays when columns come and go.
 */
export function avroName(name: string): string {
  if (AVRO_NAME.test(name)) return name;
  const allowed = name.replace(
    /[^A-Za-z0-9_]/gu,
    (character) => `_x${character.codePointAt(0)?.toString(16)}_`,
  );
  return AVRO_NAME.test(allowed) ? allowed : `_${allowed}`;
}

/** Field names of columns, in their order. Two that would fall together are told apart by a number. */
export function avroFieldNames(columns: readonly string[]): string[] {
  const taken = new Set(columns.filter((column) => AVRO_NAME.test(column)));
  return columns.map((column) => {
    if (AVRO_NAME.test(column)) return column;
    const wanted = avroName(column);
    let name = wanted;
    for (let suffix = 2; taken.has(name); suffix += 1) name = `${wanted}_${suffix}`;
    taken.add(name);
    return name;
  });
}

/** A resource's records live in one namespace; `Row` is in its rows topic and inside `Change`. */
export function rowRecordNames(namespace: string, resource: string): RecordNames {
  return { namespace: `${namespace}.${avroName(resource)}`, record: 'Row' };
}

export function changeRecordNames(namespace: string, resource: string): RecordNames {
  return { namespace: `${namespace}.${avroName(resource)}`, record: 'Change' };
}
