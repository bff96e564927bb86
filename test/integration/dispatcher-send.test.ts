import { describeSender } from '../../services/dispatcher/send/describe-sender.ts';
import { createGotSender } from '../../services/dispatcher/send/send-with-got.ts';

describeSender('a sender made with got', createGotSender);
