import { describeKafkaClient } from '../../contract/describe-kafka-client.ts';
import { describeKafkaFailure } from '../../contract/describe-kafka-failure.ts';

for (const client of ['tuned', 'plain', 'platformatic'] as const) {
  describeKafkaClient(client);
  describeKafkaFailure(client);
}
