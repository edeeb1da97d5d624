"""What is said on a connection, whatever carries it: requests, answers, questions and news."""
