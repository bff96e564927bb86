import { describeKafkaClient } from '../../contract/describe-kafka-client.ts';

for (const client of ['tuned', 'plain', 'platformatic'] as const) describeKafkaClient(client);
