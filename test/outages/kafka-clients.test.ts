import { describeKafkaFailure } from '../contract/describe-kafka-failure.ts';

describeKafkaFailure(['tuned', 'plain', 'platformatic']);
