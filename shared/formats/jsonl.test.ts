import { describeFormat } from '../../test/contract/describe-format.ts';
import { jsonl } from './jsonl.ts';

describeFormat('jsonl', jsonl, async (file) =>
  file
    .toString()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line)),
);
